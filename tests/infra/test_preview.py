"""The digest of a preview is that of the update in the same `pulumi up`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pulumi
import pytest

from infra import preview
from infra.preview import engine_process, previewed


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.setattr(pulumi, "get_project", lambda: "onebox")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    run_under("1 1", monkeypatch)


def run_under(engine: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "engine_process", lambda _language_host: engine)


def run(digest: str, monkeypatch: pytest.MonkeyPatch, *, dry: bool) -> str:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry)
    return previewed(digest)


def test_an_update_pushes_the_digest_of_its_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("shown", monkeypatch, dry=True) == "shown"
    assert run("changed since", monkeypatch, dry=False) == "shown"


def test_the_preview_of_an_earlier_command_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    run("shown", monkeypatch, dry=True)
    run_under("1 2", monkeypatch)

    assert run("of the tree", monkeypatch, dry=False) == "of the tree"


def test_without_a_preview_the_trees_digest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("of the tree", monkeypatch, dry=False) == "of the tree"


def test_a_record_that_is_damaged_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run("shown", monkeypatch, dry=True)
    (tmp_path / "onebox" / "onebox-dev.preview.json").write_text("{")

    assert run("of the tree", monkeypatch, dry=False) == "of the tree"


def test_stacks_have_records_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    run("shown", monkeypatch, dry=True)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "local")

    assert run("of the tree", monkeypatch, dry=False) == "of the tree"


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
def test_the_engine_is_the_process_that_started_the_language_host() -> None:
    program = "import os; from infra.preview import engine_process; print(engine_process(os.getppid()))"
    host = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}], check=True)"

    two = [
        subprocess.run([sys.executable, "-c", host], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]

    assert two[0] == two[1]
    assert two[0].split()[0] == str(os.getpid())


def test_a_process_that_is_gone_has_no_engine() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert engine_process(ended.pid) is None

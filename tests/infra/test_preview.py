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

OURS, OTHER = os.getpid(), os.getppid()


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.setattr(pulumi, "get_project", lambda: "onebox")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    return tmp_path / "onebox"


@pytest.fixture
def ended() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def run(digest: str, monkeypatch: pytest.MonkeyPatch, *, dry: bool, engine: str = f"{OURS}.1") -> str:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry)
    monkeypatch.setattr(preview, "engine_process", lambda _language_host: engine)
    return previewed(digest)


def started(pid: int) -> str:
    found = preview._process(str(pid))
    assert found is not None
    return found


def test_an_update_pushes_the_digest_of_its_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("shown", monkeypatch, dry=True) == "shown"
    assert run("changed since", monkeypatch, dry=False) == "shown"


@pytest.mark.parametrize(
    "other", [f"{OURS}.2", f"{OTHER}.1", f"1{OURS}.1"], ids=["later", "other process", "longer pid"]
)
def test_the_preview_of_another_command_does_not_count(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run("shown", monkeypatch, dry=True, engine=other)

    assert run("of the tree", monkeypatch, dry=False) == "of the tree"


def test_the_preview_of_another_command_leaves_the_own_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run("shown", monkeypatch, dry=True, engine=started(OURS))
    run("shown elsewhere", monkeypatch, dry=True, engine=started(OTHER))

    assert run("changed since", monkeypatch, dry=False, engine=started(OURS)) == "shown"


def test_without_a_preview_the_trees_digest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("of the tree", monkeypatch, dry=False) == "of the tree"


def test_a_record_that_cannot_be_read_ends_the_update(monkeypatch: pytest.MonkeyPatch, records: Path) -> None:
    run("shown", monkeypatch, dry=True)
    next(records.iterdir()).unlink()
    (records / f"onebox-dev-{OURS}.1.preview").mkdir()

    with pytest.raises(OSError, match="directory"):
        run("of the tree", monkeypatch, dry=False)


def test_a_preview_removes_the_records_of_engines_that_have_ended(
    monkeypatch: pytest.MonkeyPatch, records: Path, ended: int
) -> None:
    for engine in (f"{ended}.1", f"{OURS}.1", started(OTHER), started(OURS)):
        run("shown", monkeypatch, dry=True, engine=engine)

    kept = {f"onebox-dev-{started(pid)}.preview" for pid in (OURS, OTHER)}
    assert {record.name for record in records.iterdir()} == kept


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
    assert two[0].strip() == started(os.getpid())


def test_a_process_that_is_gone_has_no_engine(ended: int) -> None:
    assert engine_process(ended) is None

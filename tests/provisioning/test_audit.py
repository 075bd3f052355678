"""The audit log of a host: what is written to it, and what shows when somebody changes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.store.messages import AppendAudit, AuditLine, AuditLines, ReadAudit
from provisioning.errors import UnhealthyRelease
from provisioning.host.audit import read_audit
from provisioning.identity import whoami
from tests.provisioning.agent_process import call

pytestmark = pytest.mark.process


def _append(root: Path, what: str) -> None:
    call(AppendAudit(str(root), "ann", what, "ok", 1.0))


def _read(root: Path, tail: int = 10) -> AuditLines:
    return call(ReadAudit(str(root), tail))


def test_entries_come_back_in_order_and_only_the_last_ones(tmp_path: Path) -> None:
    for number in range(3):
        _append(tmp_path, f"push {number}")

    found = _read(tmp_path, tail=2)

    assert [entry.what for entry in found.entries] == ["push 1", "push 2"]
    assert (found.lines, found.broken) == (3, ())
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_eight_writers_at_once_leave_eight_whole_lines(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _append(tmp_path, str(number)), range(8)))

    found = _read(tmp_path, tail=100)

    assert sorted(entry.what for entry in found.entries) == [str(number) for number in range(8)]
    assert found.broken == ()


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lambda lines: [lines[0].replace("push 0", "push 9"), *lines[1:]], [2]),
        (lambda lines: [lines[0], *lines[2:]], [2]),
        (lambda lines: lines[1:], [1]),
        (lambda lines: [lines[1], lines[0], *lines[2:]], [1, 2, 3]),
        (lambda lines: [lines[0], "no json", *lines[1:]], [2, 3]),
    ],
    ids=["changed", "taken out", "first taken out", "swapped", "put in"],
)
def test_a_log_that_was_changed_shows(tmp_path: Path, spoil: Any, broken: list[int]) -> None:
    for number in range(4):
        _append(tmp_path, f"push {number}")
    file = tmp_path / "audit.jsonl"
    file.write_text("\n".join(spoil(file.read_text().splitlines())) + "\n")

    assert _read(tmp_path).broken == tuple(broken)


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    _append(tmp_path, "first")
    with (tmp_path / "audit.jsonl").open("a") as file:
        file.write('{"what": "cut o')

    _append(tmp_path, "last")

    found = _read(tmp_path, tail=10)
    assert [entry.what for entry in found.entries] == ["first", "last"]
    assert found.broken == (2,)


def test_a_push_leaves_a_line_that_says_who_what_result_and_seconds(host: Any) -> None:
    release = host.push().release

    (entry,) = read_audit(host.settings()).entries

    assert (entry.who, entry.what, entry.release, entry.result) == (whoami(), "push", release, "ok")
    assert entry.detail == "build+recreate api, build+recreate web"
    assert entry.seconds > 0


def test_a_push_with_nothing_to_do_leaves_no_line(host: Any) -> None:
    host.push()
    host.push()

    assert read_audit(host.settings()).lines == 1


def test_an_unhealthy_push_is_in_the_log_with_its_reason(host: Any) -> None:
    (host.docker / "unhealthy").write_text("api")
    with pytest.raises(UnhealthyRelease):
        host.push()

    (entry,) = read_audit(host.settings()).entries

    assert entry.result == "unhealthy"
    assert "api of the new release is not healthy" in entry.detail


def test_an_entry_of_another_version_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text('{"at": "now", "what": "push", "from": "192.0.2.7", "after": ""}\n')

    assert _read(tmp_path) == AuditLines((AuditLine(at="now", what="push", came_from="192.0.2.7"),), 1, ())

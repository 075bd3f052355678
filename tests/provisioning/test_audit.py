"""The audit log of a host: what is written to it, and what shows when somebody changes it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent import script
from provisioning.errors import UnhealthyRelease
from provisioning.host.audit import AuditEntry, parse_audit, read_audit
from provisioning.identity import whoami

pytestmark = pytest.mark.process


def _ask(root: Path, entry: dict[str, Any] | None, tail: int = 0) -> dict[str, Any]:
    request = json.dumps({"root": str(root), "entry": entry, "tail": tail})
    argv = [sys.executable, "-I", "-c", script("audit.py")]
    done = subprocess.run(argv, input=request, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_entries_come_back_in_order_and_only_the_last_ones(tmp_path: Path) -> None:
    for number in range(3):
        _ask(tmp_path, {"what": f"push {number}"})

    found = _ask(tmp_path, None, tail=2)

    assert [entry["what"] for entry in found["entries"]] == ["push 1", "push 2"]
    assert (found["lines"], found["broken"]) == (3, [])
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_eight_writers_at_once_leave_eight_whole_lines(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _ask(tmp_path, {"what": str(number)}), range(8)))

    found = _ask(tmp_path, None, tail=100)

    assert sorted(entry["what"] for entry in found["entries"]) == [str(number) for number in range(8)]
    assert found["broken"] == []


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
        _ask(tmp_path, {"what": f"push {number}"})
    file = tmp_path / "audit.jsonl"
    file.write_text("\n".join(spoil(file.read_text().splitlines())) + "\n")

    assert _ask(tmp_path, None, tail=10)["broken"] == broken


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    _ask(tmp_path, {"what": "first"})
    with (tmp_path / "audit.jsonl").open("a") as file:
        file.write('{"what": "cut o')

    _ask(tmp_path, {"what": "last"})

    found = _ask(tmp_path, None, tail=10)
    assert [entry["what"] for entry in found["entries"]] == ["first", "last"]
    assert found["broken"] == [2]


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


def test_an_entry_of_another_version_is_shown_as_far_as_it_goes() -> None:
    log = parse_audit({"entries": [{"at": "now", "what": "push"}], "broken": [], "lines": 1})

    assert log.entries == (AuditEntry("now", "", "", "push", "", "", 0.0, ""),)

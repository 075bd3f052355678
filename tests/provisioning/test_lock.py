"""The lock and the steps under it, as the processes on the host that they are."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.command.messages import RunStep
from provisioning.agent.lock.holder_file import Holder
from provisioning.agent.lock.messages import BreakLock, HoldLock, LockHolders, ReadLock
from provisioning.agent.protocol import Exit, Request
from provisioning.errors import LockBroken, Locked
from provisioning.host.audit import read_audit
from provisioning.host.lock import break_lock, read_lock
from provisioning.identity import whoami
from tests.provisioning.agent_process import call, start_request
from tests.waiting import wait_until

pytestmark = pytest.mark.process

HOLDER = Holder(who="ann@laptop", doing="push of abc", since="today")
NAME = "ann@laptop, push of abc, since today\n"


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts a request in a process of its own; all of them have ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(request: Request[Any]) -> subprocess.Popen[str]:
        started.append(start_request(request))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _step(root: Path, command: str, *, finish: bool, seconds: float = 60) -> RunStep:
    return RunStep(str(root), None, ("/bin/sh", "-c", command), seconds, finish)


def open_files(pid: int) -> set[str]:
    try:
        return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:
        # One was closed in between.
        return set()


def test_of_eight_at_once_one_gets_the_lock_and_the_others_are_told_who(start: Any, tmp_path: Path) -> None:
    racers = [start(HoldLock(str(tmp_path), HOLDER)) for _ in range(8)]

    answers = {racer: racer.stdout.readline() for racer in racers}

    losers = [racer for racer, answer in answers.items() if answer != "held\n"]
    assert len(losers) == 7
    assert {racer.wait(10) for racer in losers} == {Exit.LOCKED}
    assert {answers[racer] for racer in losers} == {NAME}


def test_who_has_just_taken_the_lock_is_named_as_soon_as_it_has_written_who_it_is(
    start: Any, tmp_path: Path
) -> None:
    # What an earlier one that was killed left, who must not be named.
    gone = vars(HOLDER) | {"who": "gone", "pid": 1 << 30}
    (tmp_path / "push.holder").write_text(json.dumps(gone))
    with (tmp_path / "push.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = start(HoldLock(str(tmp_path), HOLDER))
        wait_until(lambda: str(tmp_path / "push.lock") in open_files(second.pid))
        written = tmp_path / "push.holder.new"
        written.write_text(json.dumps(vars(HOLDER) | {"pid": os.getpid()}))
        written.replace(tmp_path / "push.holder")

        assert second.stdout.readline() == NAME
    assert second.wait(10) == Exit.LOCKED


def test_the_lock_is_free_when_its_holder_is_killed(start: Any, tmp_path: Path) -> None:
    first = start(HoldLock(str(tmp_path), HOLDER))
    assert first.stdout.readline() == "held\n"
    first.kill()
    first.wait(10)

    assert start(HoldLock(str(tmp_path), HOLDER)).stdout.readline() == "held\n"


def test_a_step_whose_client_is_gone_still_keeps_others_out(start: Any, tmp_path: Path) -> None:
    step = start(_step(tmp_path, "echo begun; sleep 5", finish=True))
    assert step.stdout.readline() == "begun\n"
    step.stdin.close()
    step.stdin = None

    late = start(HoldLock(str(tmp_path), HOLDER))

    assert "one of its steps is still running" in late.stdout.readline()
    assert late.wait(10) == Exit.LOCKED


def test_a_step_that_need_not_finish_ends_with_its_client(start: Any, tmp_path: Path) -> None:
    step = start(_step(tmp_path, "echo begun; sleep 30", finish=False))
    assert step.stdout.readline() == "begun\n"
    step.stdin.close()
    step.stdin = None

    assert step.wait(10) == Exit.HUNG_UP


def test_a_step_ends_at_its_time(start: Any, tmp_path: Path) -> None:
    assert start(_step(tmp_path, "sleep 30", finish=True, seconds=0.3)).wait(10) == Exit.TIMED_OUT


def test_a_step_ends_with_its_commands_status_and_output(start: Any, tmp_path: Path) -> None:
    step = start(_step(tmp_path, "echo out; echo err >&2; exit 7", finish=True))

    assert step.stdout.read() == "out\nerr\n"
    assert step.wait(10) == 7


def test_the_outcome_that_the_holder_tells_is_its_line_in_the_audit_log(start: Any, tmp_path: Path) -> None:
    first = start(HoldLock(str(tmp_path), HOLDER))
    assert first.stdout.readline() == "held\n"
    first.communicate('\n{"result": "ok", "detail": "recreate api"}\n', timeout=10)

    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()

    entry = json.loads(line)
    assert (entry["who"], entry["result"], entry["detail"]) == ("ann@laptop", "ok", "recreate api")
    assert not (tmp_path / "push.holder").exists()


def test_a_holder_whose_client_is_gone_is_in_the_audit_log_as_broken_off(start: Any, tmp_path: Path) -> None:
    first = start(HoldLock(str(tmp_path), HOLDER))
    assert first.stdout.readline() == "held\n"
    first.communicate(timeout=10)

    assert json.loads((tmp_path / "audit.jsonl").read_text())["result"] == "broken off"


def test_looking_at_the_lock_names_its_holder_and_takes_nothing(start: Any, tmp_path: Path) -> None:
    assert call(ReadLock(str(tmp_path))) == LockHolders(None, 0, free=True)
    first = start(HoldLock(str(tmp_path), HOLDER))
    assert first.stdout.readline() == "held\n"

    found = call(ReadLock(str(tmp_path)))

    assert found == LockHolders(replace(HOLDER, pid=first.pid), 0, free=False)
    assert first.poll() is None


def test_a_holder_file_of_a_process_that_is_gone_counts_as_nobody(tmp_path: Path) -> None:
    holder = vars(HOLDER) | {"pid": 1}
    (tmp_path / "push.holder").write_text(json.dumps(holder))

    assert call(ReadLock(str(tmp_path))).free


def test_breaking_ends_the_holder_and_its_step_and_says_who_did_it(start: Any, tmp_path: Path) -> None:
    first = start(HoldLock(str(tmp_path), HOLDER))
    assert first.stdout.readline() == "held\n"
    step = start(_step(tmp_path, "echo begun; sleep 30", finish=True))
    assert step.stdout.readline() == "begun\n"

    answer = call(BreakLock(str(tmp_path), "bob@desk"))

    assert answer.free
    assert (first.wait(10), first.stdout.readline(), step.wait(10)) == (
        Exit.LOCK_BROKEN,
        "bob@desk\n",
        Exit.TERMINATED,
    )
    entry = json.loads((tmp_path / "audit.jsonl").read_text())
    assert (entry["result"], entry["detail"]) == ("lock broken", "by bob@desk")
    assert start(HoldLock(str(tmp_path), HOLDER)).stdout.readline() == "held\n"


def test_breaking_ends_a_step_whose_push_is_gone(start: Any, tmp_path: Path) -> None:
    step = start(_step(tmp_path, "echo begun; sleep 30", finish=True))
    assert step.stdout.readline() == "begun\n"

    assert call(ReadLock(str(tmp_path))).steps == 1
    assert call(BreakLock(str(tmp_path), "bob@desk")).free
    assert step.wait(10) == Exit.TERMINATED


def test_a_push_waits_for_a_held_host_and_tells_for_whom(host: Any, start: Any, events: Any) -> None:
    first = start(HoldLock(str(host.root), HOLDER))
    assert first.stdout.readline() == "held\n"

    def end_when_waited_for() -> None:
        wait_until(lambda: "waiting up to" in events.text())
        first.stdin.close()

    threading.Thread(target=end_when_waited_for, daemon=True).start()

    result = host.push(events, lock_wait_seconds=30)

    first.stdin = None
    assert result.changed
    assert "held by ann@laptop, push of abc, since today; waiting up to 30 s" in events.text()
    assert "wait for the lock: free after" in events.text()


def test_waiting_ends_with_the_holders_name_and_steals_nothing(host: Any, start: Any) -> None:
    first = start(HoldLock(str(host.root), HOLDER))
    assert first.stdout.readline() == "held\n"

    with pytest.raises(Locked, match="ann@laptop"):
        host.push(lock_wait_seconds=1)

    assert first.poll() is None


def test_a_push_whose_lock_is_broken_stops_and_names_who_did_it(host: Any) -> None:
    host.push()
    (host.project / "ui" / "page.py").write_text("second")
    (host.home / "docker" / "slow").write_text("30")
    pushing = ThreadPoolExecutor(1).submit(host.push)
    wait_until(lambda: read_lock(host.settings()).steps > 0)

    found = break_lock(host.settings())

    assert whoami() in found.who
    with pytest.raises(LockBroken, match=re.escape(f"the lock was broken by {whoami()}")) as caught:
        pushing.result(20)
    assert caught.value.exit_code == 4
    (host.home / "docker" / "slow").unlink()
    # The step that was under way is ended on the host, a moment after we have gone.
    wait_until(lambda: read_lock(host.settings()).free)
    assert [entry.result for entry in read_audit(host.settings()).entries] == ["ok", "lock broken", "ok"]
    assert host.push().changed


def test_an_interrupted_push_frees_the_lock_and_is_in_the_log(host: Any) -> None:
    def interrupt(event: Any) -> None:
        if str(event).startswith("publish …"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        host.push(interrupt)

    assert read_lock(host.settings()).free
    (entry,) = read_audit(host.settings()).entries
    assert entry.result == "interrupted"
    assert host.push().changed


def test_breaking_a_lock_that_nobody_holds_does_nothing(host: Any) -> None:
    host.push()

    assert break_lock(host.settings()).free
    assert read_audit(host.settings()).lines == 1

"""The lock and the steps under it, as the processes on the host that they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.remote import script

pytestmark = pytest.mark.process

HOLDER = json.dumps({"who": "ann@laptop", "doing": "push of abc", "since": "today"})


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts a remote script as its own process; all of them have ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-I", "-c", script(name), *arguments]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _step(root: Path, command: str, *, finish: bool, seconds: float = 60) -> str:
    argv = ["/bin/sh", "-c", command]
    return json.dumps({"root": str(root), "argv": argv, "seconds": seconds, "finish": finish, "log": ""})


def test_of_eight_at_once_one_gets_the_lock_and_the_others_are_told_who(start: Any, tmp_path: Path) -> None:
    racers = [start("lock.py", str(tmp_path), HOLDER) for _ in range(8)]

    answers = {racer: racer.stdout.readline() for racer in racers}

    losers = [racer for racer, answer in answers.items() if answer != "held\n"]
    assert len(losers) == 7
    assert {racer.wait(10) for racer in losers} == {75}


def test_the_lock_is_free_when_its_holder_is_killed(start: Any, tmp_path: Path) -> None:
    first = start("lock.py", str(tmp_path), HOLDER)
    assert first.stdout.readline() == "held\n"
    first.kill()
    first.wait(10)

    assert start("lock.py", str(tmp_path), HOLDER).stdout.readline() == "held\n"


def test_a_step_whose_client_is_gone_still_keeps_others_out(start: Any, tmp_path: Path) -> None:
    step = start("step.py", _step(tmp_path, "echo begun; sleep 5", finish=True))
    assert step.stdout.readline() == "begun\n"
    step.stdin.close()
    step.stdin = None

    late = start("lock.py", str(tmp_path), HOLDER)

    assert "a step of it is still running" in late.stdout.readline()
    assert late.wait(10) == 75


def test_a_step_that_need_not_finish_ends_with_its_client(start: Any, tmp_path: Path) -> None:
    step = start("step.py", _step(tmp_path, "echo begun; sleep 30", finish=False))
    assert step.stdout.readline() == "begun\n"
    step.stdin.close()
    step.stdin = None

    assert step.wait(10) == 129


def test_a_step_ends_at_its_time(start: Any, tmp_path: Path) -> None:
    assert start("step.py", _step(tmp_path, "sleep 30", finish=True, seconds=0.3)).wait(10) == 124


def test_a_step_ends_with_its_commands_status_and_output(start: Any, tmp_path: Path) -> None:
    step = start("step.py", _step(tmp_path, "echo out; echo err >&2; exit 7", finish=True))

    assert step.stdout.read() == "out\nerr\n"
    assert step.wait(10) == 7

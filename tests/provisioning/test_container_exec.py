"""A step that is a command inside a container is begun at Docker's socket where that is this user's Docker."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.command.messages import RunStep
from provisioning.agent.protocol import Exit
from provisioning.agent.store.journal_entry import JournalStep
from provisioning.host.docker_commands import reload_argv
from tests.provisioning.agent_process import start_request
from tests.waiting import wait_until

pytestmark = pytest.mark.process

STEP = JournalStep("p1", "r", "reload api")


class StandIn:
    """A daemon that takes one command for the container c1."""

    def __init__(self, place: Path) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.printed = [(1, b"out\n"), (2, b"err\n")]
        self.states: list[dict[str, Any]] = [{"Running": False, "ExitCode": 0}]
        self.refuses_to_begin = b""
        self.take, self.go_on = threading.Event(), threading.Event()
        self.take.set()
        self.go_on.set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(place))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        # It may have been stopped already.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            # Who asked may be gone.
            with stream, contextlib.suppress(OSError):
                self._answer(stream)

    def _answer(self, stream: socket.socket) -> None:
        head, _, body = stream.recv(65536).partition(b"\r\n\r\n")
        line = head.splitlines()[0].decode().removesuffix(" HTTP/1.0")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert len(body) == (int(length[1]) if length else 0)
        self.asked.append((line, json.loads(body) if body else None))
        if line == "POST /containers/c1/exec":
            self.take.wait(20)
            stream.sendall(b'HTTP/1.0 201 Created\r\n\r\n{"Id":"e1"}')
        elif line == "POST /exec/e1/start" and self.refuses_to_begin:
            stream.sendall(b"HTTP/1.0 409 Conflict\r\n\r\n" + self.refuses_to_begin)
        elif line == "POST /exec/e1/start":
            stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            pieces = b"".join(struct.pack(">BxxxI", kind, len(text)) + text for kind, text in self.printed)
            # Cut where no piece ends.
            stream.sendall(pieces[:5])
            self.go_on.wait(20)
            wait_until(lambda: _unread(stream) == 0, 10, "the first piece is read")
            stream.sendall(pieces[5:])
        elif line == "GET /exec/e1/json":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            stream.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(state).encode())
        else:
            stream.sendall(b'HTTP/1.0 404 Not Found\r\n\r\n{"message":"no such container"}')


def _unread(stream: socket.socket) -> int:
    """Return how many bytes of what was sent the other end of a Unix socket has not read."""
    return int.from_bytes(fcntl.ioctl(stream, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[StandIn]:
    served = StandIn(tmp_path / "docker.sock")
    yield served
    served.take.set()
    served.go_on.set()
    served.stop()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(argv, ...): the step on a host whose Docker is the stand-in, and whose `docker` tells that it was run."""
    command = tmp_path / "docker"
    command.write_text('#!/bin/sh\necho "command line: $*"\nexit 9\n')
    command.chmod(0o755)
    begun: list[subprocess.Popen[str]] = []

    def run(argv: list[str], seconds: float = 10, **environment: str) -> subprocess.Popen[str]:
        process = start_request(
            RunStep(str(tmp_path), STEP, tuple(argv), seconds, finish=True),
            {"/var/run/docker.sock": str(tmp_path / "docker.sock")},
            stderr=subprocess.PIPE,
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), **environment},
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def journal(tmp_path: Path) -> list[tuple[str, int | None]]:
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    return [(entry["state"], entry.get("status")) for entry in map(json.loads, lines)]


def test_a_signal_is_sent_from_inside_without_the_command_line(
    daemon: StandIn, start: Start, tmp_path: Path
) -> None:
    step = start(reload_argv("c1", "SIGHUP"))

    assert step.stdout
    assert (step.stdout.read(), step.wait(10)) == ("out\nerr\n", 0)
    wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": ["sh", "-c", "kill -s HUP 1"]}
    assert daemon.asked == [
        ("POST /containers/c1/exec", wanted),
        ("POST /exec/e1/start", {"Detach": False, "Tty": False}),
        ("GET /exec/e1/json", None),
    ]
    assert journal(tmp_path) == [("begin", None), ("end", 0)]


def test_what_failed_inside_ends_the_step_with_its_status_and_its_words(
    daemon: StandIn, start: Start, tmp_path: Path
) -> None:
    daemon.printed = [(2, b"kill: no permission\n")]
    # Its output ends a moment before the daemon knows its status.
    daemon.states = [{"Running": True, "ExitCode": None}, {"Running": False, "ExitCode": 3}]

    step = start(reload_argv("c1", "SIGHUP"))

    assert step.stdout
    assert (step.stdout.read(), step.wait(10)) == ("kill: no permission\n", 3)
    assert journal(tmp_path)[-1] == ("end", 3)


def test_what_the_daemon_refuses_to_begin_ends_the_step_with_its_words(daemon: StandIn, start: Start) -> None:
    daemon.refuses_to_begin = b'{"message":"the container is paused"}\n'

    step = start(reload_argv("c1", "SIGHUP"))

    assert step.stdout
    assert "the container is paused" in step.stdout.read()
    assert step.wait(10) == 1


def test_a_daemon_that_goes_away_in_between_is_no_success(
    daemon: StandIn, start: Start, tmp_path: Path
) -> None:
    daemon.go_on.clear()
    step = start(reload_argv("c1", "SIGHUP"))
    wait_until(lambda: len(daemon.asked) == 2)
    daemon.stop()
    daemon.go_on.set()

    assert step.wait(10) == 1
    assert journal(tmp_path)[-1] == ("end", 1)


@pytest.mark.parametrize("asked", [1, 2])
def test_a_step_whose_lock_is_broken_ends_whatever_the_daemon_does_and_is_in_the_journal(
    daemon: StandIn, start: Start, tmp_path: Path, asked: int
) -> None:
    (daemon.take if asked == 1 else daemon.go_on).clear()
    step = start(reload_argv("c1", "SIGHUP"))
    wait_until(lambda: len(daemon.asked) == asked)

    step.terminate()

    assert step.wait(10) == Exit.TERMINATED
    assert journal(tmp_path) == [("begin", None), ("end", Exit.TERMINATED)]


def test_it_is_waited_for_until_its_time_is_over(daemon: StandIn, start: Start, tmp_path: Path) -> None:
    daemon.go_on.clear()

    assert start(reload_argv("c1", "SIGHUP"), seconds=0.5).wait(10) == Exit.TIMED_OUT
    assert journal(tmp_path)[-1] == ("end", Exit.TIMED_OUT)


def test_a_signal_whose_client_is_gone_comes_to_its_end_and_is_in_the_journal(
    daemon: StandIn, start: Start, tmp_path: Path
) -> None:
    daemon.go_on.clear()
    step = start(reload_argv("c1", "SIGHUP"))
    wait_until(lambda: len(daemon.asked) == 2)
    for stream in (step.stdin, step.stdout):
        assert stream
        stream.close()
    step.stdin = step.stdout = None
    time.sleep(0.1)
    assert step.poll() is None
    daemon.go_on.set()

    assert step.wait(10) == 0
    assert journal(tmp_path) == [("begin", None), ("end", 0)]


@pytest.mark.parametrize(
    ("argv", "environment"),
    [
        (reload_argv("gone", "SIGHUP"), {}),
        (reload_argv("c1", "SIGHUP"), {"DOCKER_HOST": "tcp://192.0.2.7:2375"}),
        (reload_argv("c1", "SIGHUP"), {"DOCKER_CONTEXT": "other"}),
        (["docker", "exec", "--user=1", "c1", "true"], {}),
        (["docker", "exec", "c1"], {}),
        (["docker", "image", "ls"], {}),
    ],
)
def test_everything_else_is_left_to_the_command_line(
    daemon: StandIn, start: Start, argv: list[str], environment: dict[str, str]
) -> None:
    step = start(argv, **environment)

    assert step.stdout
    assert (step.stdout.read(), step.wait(10)) == (f"command line: {' '.join(argv[1:])}\n", 9)
    assert [line for line, _ in daemon.asked if "start" in line] == []


def test_without_a_daemon_at_the_socket_the_command_line_is_run(start: Start) -> None:
    assert start(reload_argv("c1", "SIGHUP")).wait(10) == 9

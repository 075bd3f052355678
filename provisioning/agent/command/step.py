"""Run one command that changes the host."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import BinaryIO, NoReturn, Optional, Union

from provisioning.agent.command.container_exec import ContainerExec, start_in_container
from provisioning.agent.command.messages import RunStep
from provisioning.agent.protocol import Exit
from provisioning.agent.store.journal import Journal, hold_steps


class Command:
    """A command of the host, in a session of its own."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def fileno(self) -> int:
        """Return the descriptor of the output."""
        return self._output.fileno()

    def read(self) -> Optional[bytes]:
        """Return its output on both streams; empty when it has closed both."""
        return os.read(self.fileno(), 65536)

    def end(self) -> None:
        """End the command and its process group."""
        for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            try:
                os.killpg(self._process.pid, sign)
                self._process.wait(seconds)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def status(self) -> int:
        """Wait for the end; return the exit status."""
        return self._process.wait()


Running = Union[Command, ContainerExec]


def handle(request: RunStep) -> NoReturn:
    """Run the command and end this process with its exit code."""
    # Held until this process ends, also when nothing is journalled.
    hold_steps(request.root)
    journal = Journal(request.root, request.journal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    journal.begin()
    deadline = time.monotonic() + request.seconds
    started: list[Running] = []

    def lock_broken(*_: object) -> None:
        for command in started:
            command.end()
        journal.end(Exit.TERMINATED)
        os._exit(Exit.TERMINATED)

    signal.signal(signal.SIGTERM, lock_broken)
    running = start_in_container(request.argv, deadline) or Command(request.argv, _environment(request.root))
    started.append(running)
    code = _wait(request, running, deadline)
    if code is None:
        status = running.status()
        code = status if 0 <= status < 256 else 128 - status
    journal.end(code)
    os._exit(code)


def _wait(request: RunStep, running: Running, deadline: float) -> Optional[int]:
    """Forward the output until it ends; return TIMED_OUT or HUNG_UP when the command was ended before."""
    output = _Output(request.log)
    watched: list[Union[Running, int]] = [running, 0]
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            running.end()
            return Exit.TIMED_OUT
        ready = select.select(watched, [], [], min(left, 5))[0]
        if 0 in ready and not os.read(0, 4096):
            watched.remove(0)
            if not request.finish:
                running.end()
                return Exit.HUNG_UP
        if running in ready:
            chunk = running.read()
            if chunk == b"":
                return None
            if chunk:
                output.write(chunk)


class _Output:
    """Standard output, as long as the client reads it, and the log."""

    def __init__(self, log: str) -> None:
        self._log: Optional[BinaryIO] = None
        self._connected = True
        if log:
            os.makedirs(os.path.dirname(log), exist_ok=True)
            self._log = open(log, "ab")

    def write(self, chunk: bytes) -> None:
        if self._log:
            self._log.write(chunk)
            self._log.flush()
        if self._connected:
            try:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            except OSError:
                self._connected = False


def _environment(root: str) -> dict[str, str]:
    """Return the command's environment: nothing of the caller's may give a compose variable another value."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "USER", "DOCKER_HOST", "XDG_RUNTIME_DIR")
        if name in os.environ
    }
    found = {**kept, "BUILDKIT_PROGRESS": "plain", "COMPOSE_ANSI": "never", "DOCKER_CLI_HINTS": "false"}
    if not os.access(kept.get("HOME", ""), os.W_OK):
        # A build keeps its records in the home directory, and not every user has a writable one.
        found["BUILDX_CONFIG"] = os.path.join(root, "buildx")
    return found

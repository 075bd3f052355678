"""One generation of the service: a process forked from the launcher that runs one version of the code."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, TypedDict

from images.launcher.process import send_signal

from .code import Code, install

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import NoReturn

_MESSAGE = 4096
"""Bytes of the longest message."""
_DESCRIPTORS = 128
"""Half of what the kernel passes in one message: one for each worker, and one for the state's lock."""


class _Message(TypedDict, total=False):
    """What a generation sends to the launcher, as JSON."""

    kind: str
    """holds, up or failed."""
    workers: int
    why: str


class Link:
    """The service's end of the socket to the launcher. `app.launcher_api` declares what the service expects."""

    def __init__(self, line: socket.socket, code: str, status: Path, handed: Sequence[int]) -> None:
        self._line = line
        self.code = code
        """Digest of the code that this generation runs."""
        self.status = status
        """File in which the launcher records the active code and the latest refusal."""
        self.handed = tuple(handed)
        """Descriptors inherited from the previous generation; empty for the first one."""

    def holds(self, descriptors: Sequence[int], workers: int) -> None:
        """Pass the descriptors that the next generation inherits, and the number of workers."""
        self._send({"kind": "holds", "workers": workers}, descriptors)

    def up(self) -> None:
        """Report that one worker is ready."""
        self._send({"kind": "up"})

    def failed(self, why: str) -> None:
        """Report that this generation, or a worker of it, cannot start."""
        self._send({"kind": "failed", "why": why[: _MESSAGE // 8]})

    def _send(self, message: _Message, descriptors: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._line, [json.dumps(message).encode()], list(descriptors))
        except OSError:
            # The launcher is gone, which the supervisor of the workers notices by itself.
            return


@dataclass
class Generation:
    """A running generation, seen from the launcher."""

    code: Code
    pid: int
    line: socket.socket
    ends: float
    """Deadline by the monotonic clock: for readiness, then for the drain, then for the exit."""
    handed: list[int] = field(default_factory=list)
    """The descriptors that its successor inherits."""
    workers: int = 0
    up: int = 0
    why: str = ""
    """The first failure that it reported."""
    drains: bool = False
    """It finishes the requests in hand; it was not told to stop."""

    @property
    def serves(self) -> bool:
        """Return whether all of its workers have reported that they are ready."""
        return 0 < self.workers <= self.up

    def receive(self) -> None:
        """Receive all messages that it has sent."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.line, _MESSAGE, _DESCRIPTORS)
            except (BlockingIOError, OSError):
                return
            if not data:
                return
            message: _Message = json.loads(data)
            if message["kind"] == "holds":
                self.handed, self.workers = descriptors, message["workers"]
            elif message["kind"] == "up":
                self.up += 1
            elif not self.why:
                self.why = message["why"]

    def close_handed(self) -> None:
        """Close the launcher's copies of its descriptors."""
        while self.handed:
            os.close(self.handed.pop())

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; do nothing when it has ended."""
        send_signal(self.pid, number)


def start(
    code: Code, status: Path, handed: Sequence[int], seconds: float, foreign: Sequence[int]
) -> Generation:
    """Fork a generation of this code, which must be ready within `seconds`.

    foreign: the launcher's own descriptors, which the child closes.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become(code, Link(theirs, code.digest, status, handed), foreign)
    theirs.close()
    return Generation(code, pid, ours, time.monotonic() + seconds)


def _become(code: Code, link: Link, foreign: Sequence[int]) -> NoReturn:
    """Run the service to its end, in the child."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in foreign:
            os.close(descriptor)
        install(code)
        status = import_module("app.runtime.main").main(link)
    except BaseException as error:  # noqa: BLE001 - the launcher learns of any error, and nothing of it runs on here
        traceback.print_exc()
        link.failed(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

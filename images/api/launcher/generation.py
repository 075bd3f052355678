"""One generation of the service: a process forked from the launcher that runs one state of the code."""

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
from typing import TYPE_CHECKING, Any

from .code import Code, install

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import NoReturn

_MESSAGE = 4096
_DESCRIPTORS = 128
"""As many as the kernel passes in one message, halved: one for each worker, and one for the state."""


class Link:
    """The service's end of the line to the launcher. `app.launcher_api` declares what the service expects."""

    def __init__(self, line: socket.socket, code: str, status: Path, handed: Sequence[int]) -> None:
        self._line = line
        self.code = code
        """Digest of the code that this generation runs."""
        self.status = status
        """Where the launcher writes down which code serves, and which it refused."""
        self.handed = tuple(handed)
        """Descriptors that the generation before gave back; empty for the first one."""

    def holds(self, descriptors: Sequence[int], workers: int) -> None:
        """Give the launcher what the next generation gets, and say how many workers there will be."""
        self._tell({"say": "holds", "workers": workers}, descriptors)

    def up(self) -> None:
        """One worker answers."""
        self._tell({"say": "up"})

    def failed(self, why: str) -> None:
        """This generation, or a worker of it, cannot start."""
        self._tell({"say": "failed", "why": why[: _MESSAGE // 8]})

    def _tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
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
    """By the monotonic clock: when it must have come to serve, or to its end."""
    handed: list[int] = field(default_factory=list)
    """What it holds and its successor gets."""
    workers: int = 0
    up: int = 0
    why: str = ""
    """What it said before it failed."""
    patient: bool = False
    """It was let go, not told to stop: what it has in hand comes to its end."""

    @property
    def serves(self) -> bool:
        """Whether all of its workers have answered that they do."""
        return 0 < self.workers <= self.up

    def hear(self) -> None:
        """Take in what it said."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.line, _MESSAGE, _DESCRIPTORS)
            except (BlockingIOError, OSError):
                return
            if not data:
                return
            message = json.loads(data)
            if message["say"] == "holds":
                self.handed, self.workers = descriptors, int(message["workers"])
            elif message["say"] == "up":
                self.up += 1
            elif not self.why:
                self.why = str(message["why"])

    def drop(self) -> None:
        """Close our copies of what it gave us."""
        while self.handed:
            os.close(self.handed.pop())

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it is gone."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


def start(
    code: Code, status: Path, handed: Sequence[int], seconds: float, strangers: Sequence[int]
) -> Generation:
    """Fork a generation of this code, which has `seconds` to come to serve.

    strangers: the launcher's own descriptors, which the child has no business with.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become(code, Link(theirs, code.digest, status, handed), strangers)
    theirs.close()
    return Generation(code, pid, ours, time.monotonic() + seconds)


def _become(code: Code, link: Link, strangers: Sequence[int]) -> NoReturn:
    """This is the child: run the service to its end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in strangers:
            os.close(descriptor)
        install(code)
        status = import_module("app.runtime.main").main(link)
    except BaseException as error:  # noqa: BLE001 - as in the next line
        # Whatever the code does: the launcher hears of it, and nothing of the launcher runs on here.
        traceback.print_exc()
        link.failed(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

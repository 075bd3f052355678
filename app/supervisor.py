"""Keeps processes running: starts them by fork, replaces one that dies, passes signals on, ends them in time."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger("app")

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
EARLY_SECONDS = 5.0
"""A process that dies sooner than this has not started at all."""
EARLY_DEATHS = 5
"""After so many of them in a row there is no use in another try."""
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Child:
    """A process to keep: `run` is called in it, and its result is the exit status. SIGTERM must end it.

    SIGHUP reaches it once it lifts the block that it starts with.
    """

    name: str
    run: Callable[[], int]


class Supervisor:
    """The parent of these children. It must have no threads: they are made by fork, and share its memory."""

    def __init__(self, children: Sequence[Child], *, stop_seconds: float) -> None:
        """stop_seconds: what a child gets to end after SIGTERM."""
        self._children = list(children)
        self._stop_seconds = stop_seconds
        self._running: dict[int, tuple[Child, float]] = {}
        self._early = 0

    def run(self) -> bool:
        """Until SIGTERM or SIGINT: True. False when children keep dying."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for child in self._children:
            self._start(child)
        while True:
            received = signal.sigwait(SIGNALS)
            if received in (signal.SIGTERM, signal.SIGINT):
                self._stop()
                return True
            if received == signal.SIGHUP:
                self._signal_all(signal.SIGHUP)
            elif not self._replace_dead():
                self._stop()
                return False

    def _start(self, child: Child) -> None:
        pid = os.fork()
        if pid:
            self._running[pid] = (child, time.monotonic())
            return
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS - {signal.SIGHUP})
            status = child.run()
        except BaseException:
            log.exception("%s ends with an error", child.name)
        finally:
            sys.stdout.flush()
            # Nothing of the parent's may run here: neither its exit handlers nor its `finally` blocks.
            os._exit(status)

    def _replace_dead(self) -> bool:
        for child, began, status in self._reaped():
            log.error("%s ended with status %d; another one starts", child.name, status)
            if time.monotonic() - began < EARLY_SECONDS:
                self._early += 1
                if self._early >= EARLY_DEATHS:
                    log.critical("%s does not stay up", child.name)
                    return False
                if self._early > 1:
                    time.sleep(PAUSE_SECONDS)
            else:
                self._early = 0
            self._start(child)
        return True

    def _reaped(self) -> list[tuple[Child, float, int]]:
        found = []
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            known = self._running.pop(pid, None)
            if known is not None:
                found.append((*known, os.waitstatus_to_exitcode(status)))
        return found

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._running:
            os.kill(pid, number)

    def _stop(self) -> None:
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + self._stop_seconds
        while self._running and time.monotonic() < deadline:
            self._reaped()
            if self._running:
                signal.sigtimedwait({signal.SIGCHLD}, 0.2)
        for pid, (child, _) in self._running.items():
            log.error("%s did not end within %g s and is killed", child.name, self._stop_seconds)
            os.kill(pid, signal.SIGKILL)
        while self._running:
            pid, _ = os.waitpid(-1, 0)
            self._running.pop(pid, None)

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

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
EARLY_SECONDS = 5.0
"""A process that dies sooner than this has not started at all."""
EARLY_DEATHS = 5
"""After so many of them in a row there is no use in another try."""
PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LOOK_SECONDS = 1.0
"""How often it is seen whether our own parent is still there."""


@dataclass(frozen=True)
class Child:
    """A process to keep: `run` is called in it, and its result is the exit status. SIGTERM must end it.

    SIGHUP and SIGUSR1 reach it once it lifts the block that it starts with; after SIGUSR1 a vital one ends, too.
    """

    name: str
    run: Callable[[], int]
    vital: bool = True
    """Without it nothing is served. One that is not is started again for ever, and ends after those that are."""


class Supervisor:
    """The parent of these children. It must have no threads: they are made by fork, and share its memory."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        stop_seconds: float,
        retire_seconds: float = 0.0,
        parent: int | None = None,
    ) -> None:
        """stop_seconds: what a child gets to end after SIGTERM; those that are not vital get as much once more.

        retire_seconds: what vital ones get after SIGUSR1, before SIGTERM. parent: stop when this is no longer ours.
        """
        self._children = list(children)
        self._stop_seconds = stop_seconds
        self._retire_seconds = retire_seconds
        self._parent = parent
        self._running: dict[int, tuple[Child, float]] = {}
        self._early: dict[bool, int] = {True: 0, False: 0}
        """Early deaths in a row, of vital children and of the others."""

    def run(self) -> bool:
        """Until SIGTERM, SIGINT or SIGUSR1: True. False when children keep dying."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for child in self._children:
            self._start(child)
        while True:
            found = signal.sigtimedwait(SIGNALS, LOOK_SECONDS)
            received = found.si_signo if found else None
            if received == signal.SIGUSR1:
                self._retire()
            if self._parent not in (None, os.getppid()):
                log.error("the parent process is gone")
                received = signal.SIGTERM
            if received in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                self._stop()
                return True
            if received == signal.SIGHUP:
                self._signal_all(signal.SIGHUP)
            elif received == signal.SIGCHLD and not self._replace_dead():
                self._stop()
                return False

    def _start(self, child: Child, pause: float = 0.0) -> None:
        pid = os.fork()
        if pid:
            self._running[pid] = (child, time.monotonic())
            return
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS - {signal.SIGHUP, signal.SIGUSR1})
            # It waits itself: the parent has others to look after.
            time.sleep(pause)
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
            early = self._early[child.vital] + 1 if time.monotonic() - began < self._early_until(child) else 0
            self._early[child.vital] = early
            if child.vital and early >= EARLY_DEATHS:
                log.critical("%s does not stay up", child.name)
                return False
            self._start(child, self._pause(child))
        return True

    def _pause(self, child: Child) -> float:
        early = self._early[child.vital]
        if child.vital:
            return PAUSE_SECONDS if early > 1 else 0.0
        return min(PAUSE_SECONDS * 2**early, LONGEST_PAUSE_SECONDS) if early else 0.0

    def _early_until(self, child: Child) -> float:
        return EARLY_SECONDS + self._pause(child)

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

    def _retire(self) -> None:
        """Have the vital ones finish what they have in hand; nobody replaces them. SIGTERM ends the wait."""
        for pid, (child, _) in self._running.items():
            if child.vital:
                os.kill(pid, signal.SIGUSR1)
        deadline = time.monotonic() + self._retire_seconds
        while any(child.vital for child, _ in self._running.values()) and time.monotonic() < deadline:
            self._reaped()
            found = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, 0.2)
            if found is not None and found.si_signo == signal.SIGTERM:
                return

    def _stop(self) -> None:
        for vital in (True, False):
            self._end(vital)
        for pid, (child, _) in self._running.items():
            log.error("%s did not end within %g s and is killed", child.name, self._stop_seconds)
            os.kill(pid, signal.SIGKILL)
        while self._running:
            pid, _ = os.waitpid(-1, 0)
            self._running.pop(pid, None)

    def _end(self, vital: bool) -> None:
        def of_this_kind() -> list[int]:
            return [pid for pid, (child, _) in self._running.items() if child.vital is vital]

        for pid in of_this_kind():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self._stop_seconds
        while of_this_kind() and time.monotonic() < deadline:
            self._reaped()
            if of_this_kind():
                signal.sigtimedwait({signal.SIGCHLD}, 0.2)

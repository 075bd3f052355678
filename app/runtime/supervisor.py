"""Supervisor of child processes: starts them by fork, restarts them, forwards signals, stops them within a timeout."""

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
"""A child that dies sooner counts as failed to start."""
EARLY_DEATHS = 5
"""Early deaths of vital children in a row after which the supervisor stops."""
PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
PARENT_CHECK_SECONDS = 1.0
"""Interval of the check that the parent process lives."""


@dataclass(frozen=True)
class Child:
    """A supervised process: it calls `run` and exits with its result. SIGTERM must end it.

    SIGHUP and SIGUSR1 are blocked until it unblocks them. SIGUSR1 must end a vital child, too.
    """

    name: str
    run: Callable[[], int]
    vital: bool = True
    """Whether nothing is served without it. Others are restarted for ever, with backoff, and stopped last."""


class Supervisor:
    """The parent process. It must have no threads: children are forked and share its memory."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        stop_seconds: float,
        retire_seconds: float = 0.0,
        parent: int | None = None,
    ) -> None:
        """stop_seconds: timeout of a child after SIGTERM; children that are not vital are stopped after the vital ones.

        retire_seconds: timeout of vital children after SIGUSR1, before SIGTERM. parent: stop when it ends.
        """
        self._children = list(children)
        self._stop_seconds = stop_seconds
        self._retire_seconds = retire_seconds
        self._parent = parent
        self._running: dict[int, tuple[Child, float]] = {}
        self._early: dict[bool, int] = {True: 0, False: 0}
        """Vital -> early deaths in a row."""

    def run(self) -> bool:
        """Run the children. Return True after SIGTERM, SIGINT or SIGUSR1, False when vital children keep dying."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for child in self._children:
            self._start(child)
        while True:
            found = signal.sigtimedwait(SIGNALS, PARENT_CHECK_SECONDS)
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
            # The child waits: the parent has others to supervise.
            time.sleep(pause)
            status = child.run()
        except BaseException:
            log.exception("%s ends with an error", child.name)
        finally:
            sys.stdout.flush()
            # Neither the parent's exit handlers nor its `finally` blocks may run here.
            os._exit(status)

    def _replace_dead(self) -> bool:
        for child, began, status in self._reaped():
            log.error("%s ended with status %d; it is restarted", child.name, status)
            early = self._early[child.vital] + 1 if time.monotonic() - began < self._early_until(child) else 0
            self._early[child.vital] = early
            if child.vital and early >= EARLY_DEATHS:
                log.critical("%s keeps failing", child.name)
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
        """Let the vital children finish their requests, without restarting any. SIGTERM ends the wait."""
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

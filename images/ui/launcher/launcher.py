"""The launcher's loop: one process serves, and new code is tried in another one before it is put in force."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .in_force import InForce, Refusal
from .snapshot import Snapshot, SnapshotError, code_before, take

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRIAL_SECONDS = 15.0
"""What new code gets to show all of its pages. A push that waits for it waits longer."""
FIRST_SECONDS = 60.0
"""The same for the code that we are started with: the whole host may be starting."""
AGAIN_SECONDS = 60.0
"""After this, code that a push has seen working is tried again: what made it fail will have been something else."""
STOP_SECONDS = 8.0
"""What the server gets to come to its end when it is told to."""
_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT})
_LONGEST_REASON = 1024
"""Bytes; a pipe takes them at once."""
_WELL = "+"
"""What a trial tells where every page came to its end. It may end in other ways before that."""


@dataclass
class Trial:
    """A process that opens the pages of a snapshot."""

    snapshot: Snapshot
    fallback: bool
    """It is the code before the one that we were started with."""
    pid: int
    said: int
    """Reading end of the pipe on which it tells why they cannot serve."""
    seconds: float
    ends: float
    """By the monotonic clock."""
    ended: bool = False
    """It took too long, and was ended."""


class Launcher:
    """Keeps one server running. It must have no threads: all others are made by fork, and share its memory."""

    def __init__(self, code_dir: Path, state_dir: Path) -> None:
        """From here on no signal is lost; they are looked at in `run`."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._code_dir = code_dir
        self._store = state_dir / "code"
        self._file = state_dir / "code.json"
        self._server = 0
        self._serving: Snapshot
        self._tried = False
        """Whether all pages of what serves have come to their end."""
        self._refused: Refusal | None = None
        self._trial: Trial | None = None
        self._again = False
        """New code may have come while other code was tried."""
        self._again_at: float | None = None
        """When code that worked before is tried again."""
        self._killed_at: float | None = None
        """When a server that was told to end is killed."""
        self._alive = os.pipe()
        """Nobody writes to it: who reads its end knows that we are gone."""

    def run(self) -> int:
        """Until the server has ended: 0 after SIGTERM or SIGINT, else its own status."""
        shutil.rmtree(self._store, ignore_errors=True)
        self._store.mkdir(parents=True)
        try:
            self._serving = take(self._code_dir, self._store)
        except SnapshotError as error:
            say("CRITICAL", f"the pages cannot be served: {error}")
            return 1
        # Served before it is tried: there is no other code that could serve meanwhile.
        self._write()
        self._server = _fork(self._serve)
        self._try(self._serving, FIRST_SECONDS)
        while True:
            number = self._next_signal()
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                self._renew()
            status = self._reap()
            if status is not None:
                self._end_trial()
                return 0 if self._killed_at is not None else status
            if self._again and self._trial is None:
                self._again = False
                self._renew()

    def _next_signal(self) -> int | None:
        """The next one, or None as soon as something has taken too long and was ended."""
        ends = [self._killed_at, self._again_at, self._trial.ends if self._trial else None]
        first = min((end for end in ends if end is not None), default=None)
        if first is None:
            return signal.sigwait(_SIGNALS)
        found = signal.sigtimedwait(_SIGNALS, max(0.0, first - time.monotonic()))
        if found is not None:
            return found.si_signo
        now = time.monotonic()
        if self._killed_at is not None and now >= self._killed_at:
            _tell(self._server, signal.SIGKILL)
            self._killed_at = now + STOP_SECONDS
        if self._trial and now >= self._trial.ends:
            self._trial.ended, self._trial.ends = True, now + TRIAL_SECONDS
            _tell(self._trial.pid, signal.SIGKILL)
        if self._again_at is not None and now >= self._again_at:
            self._renew()
        return None

    def _renew(self) -> None:
        """Try the code that lies in its directory now, unless it is what serves."""
        self._again_at = None
        if self._trial is not None:
            self._again = True
            return
        try:
            code = take(self._code_dir, self._store)
        except SnapshotError as error:
            self._refuse("", str(error))
            return
        if self._tried and code.digest == self._serving.digest:
            self._refused = None
            self._write()
            return
        say("INFO", f"code {code.digest[:12]} is tried")
        self._try(code)

    def _try(self, code: Snapshot, seconds: float = TRIAL_SECONDS, *, fallback: bool = False) -> None:
        reading, writing = os.pipe()

        def attempt() -> int:
            from .trial import try_pages

            # If we are not there to end it.
            signal.alarm(math.ceil(seconds + TRIAL_SECONDS))
            os.write(writing, (try_pages(str(code.path)) or _WELL).encode()[:_LONGEST_REASON])
            return 0

        try:
            pid = _fork(attempt)
        except OSError as error:
            os.close(reading)
            self._refuse(code.digest, f"no process could be made: {error.strerror}")
            return
        finally:
            os.close(writing)
        self._trial = Trial(code, fallback, pid, reading, seconds, time.monotonic() + seconds)

    def _judge(self, trial: Trial, status: int) -> None:
        with os.fdopen(trial.said, "rb") as said:
            why = said.read().decode("utf-8", "replace")
        if why == _WELL:
            self._promote(trial)
            return
        if trial.ended:
            why = f"its pages did not come to their end within {trial.seconds:.0f} s"
        why = why or f"the process that tried its pages ended with status {_shown(status)}"
        self._refuse(trial.snapshot.digest, why)
        if self._tried or trial.fallback:
            return
        before = code_before(trial.snapshot.origin)
        if trial.snapshot.worked:
            self._again_at = time.monotonic() + AGAIN_SECONDS
        elif before is not None:
            self._fall_back(before)

    def _promote(self, trial: Trial) -> None:
        # What lies there is what was refused, whatever becomes of the code before it.
        self._refused = self._refused if trial.fallback else None
        before, self._serving, self._tried = self._serving, trial.snapshot, True
        self._write()
        if before.digest != self._serving.digest:
            say("INFO", f"code {self._serving.digest[:12]} has taken over")
        for path in self._store.iterdir():
            # The server may be about to load the one before.
            if path not in (before.path, self._serving.path):
                shutil.rmtree(path, ignore_errors=True)

    def _refuse(self, digest: str, why: str) -> None:
        what = "the old goes on" if self._tried else "and it is all there is"
        say("ERROR", f"the code {digest[:12]} is refused, {what}: {why}")
        if digest and digest != self._serving.digest:
            shutil.rmtree(self._store / digest, ignore_errors=True)
        self._refused = Refusal(digest, why, time.time())
        self._write()

    def _fall_back(self, place: Path) -> None:
        """Whoever brought what we were started with went away before the old was put back."""
        try:
            code = take(place, self._store)
        except SnapshotError as error:
            say("ERROR", f"the code before it cannot be read: {error}")
            return
        say("INFO", f"the code before it, {code.digest[:12]}, is tried")
        self._try(code, fallback=True)

    def _stop(self) -> None:
        self._killed_at = time.monotonic() + STOP_SECONDS
        _tell(self._server, signal.SIGTERM)
        self._end_trial()

    def _end_trial(self) -> None:
        if self._trial:
            _tell(self._trial.pid, signal.SIGKILL)

    def _reap(self) -> int | None:
        """See who has ended; the server's status when it is among them."""
        while True:
            try:
                pid, found = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            status = os.waitstatus_to_exitcode(found)
            if pid == self._server:
                if self._killed_at is None:
                    say("CRITICAL", f"the server ended with status {_shown(status)}")
                return _shown(status)
            if self._trial and pid == self._trial.pid:
                trial, self._trial = self._trial, None
                if self._killed_at is None:
                    self._judge(trial, status)

    def _serve(self) -> int:
        from .server import serve

        reading, writing = self._alive
        os.close(writing)
        serve(self._file, reading)
        return 0

    def _write(self) -> None:
        serving = self._serving
        try:
            InForce(serving.digest, str(serving.path), self._tried, self._refused).write(self._file)
        except OSError as error:
            say("ERROR", f"{self._file} cannot be written: {error.strerror}")


def say(level: str, message: str) -> None:
    """One line on standard output, in the form of Streamlit's own."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    print(f"{stamp} {level} launcher: {message}", flush=True)


def _fork(run: Callable[[], int]) -> int:
    """A process that does this and ends with what it returns."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # A push may signal again before the launcher has looked.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        status = run()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing of the launcher runs on in this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _shown(status: int) -> int:
    """A signal as a shell counts it."""
    return status if status >= 0 else 128 - status


def _tell(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

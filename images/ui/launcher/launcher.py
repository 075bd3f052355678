"""The launcher's loop: one process serves, and new code passes a self-check in another one before it is activated."""

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

from images.launcher.live_code import previous_code
from images.launcher.process import exit_status, send_signal

from .active_code import ActiveCode, Refusal
from .snapshot import Snapshot, SnapshotError, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHECK_SECONDS = 15.0
"""Timeout of the self-check of new code. A push that waits for it waits longer."""
FIRST_SECONDS = 60.0
"""Timeout of the self-check at the start: the whole host may be starting."""
AGAIN_SECONDS = 60.0
"""Pause before verified code that failed its self-check is checked again: the cause lay elsewhere."""
STOP_SECONDS = 8.0
"""Timeout of the server's graceful shutdown."""
_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT})
_LONGEST_REASON = 1024
"""Bytes; a pipe takes them at once."""
_PASSED = "+"
"""What a self-check that passed reports: its process may exit in other ways before that."""


@dataclass
class SelfCheck:
    """A process that runs every page of a snapshot."""

    snapshot: Snapshot
    fallback: bool
    """It checks the code that was active before the one of the start."""
    pid: int
    report: int
    """Reading end of the pipe on which it reports the first error."""
    seconds: float
    ends: float
    """Deadline by the monotonic clock."""
    timed_out: bool = False


class Launcher:
    """Keep one server running. It must have no threads: all others are made by fork, and share its memory."""

    def __init__(self, code_dir: Path, state_dir: Path) -> None:
        """Block the signals; `run` handles them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._code_dir = code_dir
        self._store = state_dir / "code"
        self._file = state_dir / "code.json"
        self._server = 0
        self._serving: Snapshot
        self._passed = False
        """Whether the code that serves has passed its self-check."""
        self._refused: Refusal | None = None
        self._check: SelfCheck | None = None
        self._again = False
        """New code may have come during a self-check."""
        self._again_at: float | None = None
        """When verified code is checked again."""
        self._killed_at: float | None = None
        """When a server that was told to stop is killed."""
        self._alive = os.pipe()
        """Nothing is written to it: the end of file tells its readers that the launcher is gone."""

    def run(self) -> int:
        """Run until the server has ended; return 0 after SIGTERM or SIGINT, else the server's exit status."""
        shutil.rmtree(self._store, ignore_errors=True)
        self._store.mkdir()
        try:
            self._serving = take_snapshot(self._code_dir, self._store)
        except SnapshotError as error:
            log("CRITICAL", f"the pages cannot be served: {error}")
            return 1
        # It serves before its self-check: no other code could serve meanwhile.
        self._write()
        self._server = _fork(self._serve)
        self._start_check(self._serving, FIRST_SECONDS)
        while True:
            number = self._next_signal()
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                self._reload()
            status = self._reap()
            if status is not None:
                self._end_check()
                return 0 if self._killed_at is not None else status
            if self._again and self._check is None:
                self._again = False
                self._reload()

    def _next_signal(self) -> int | None:
        """Return the next signal, or None after a deadline has passed and was acted on."""
        ends = [self._killed_at, self._again_at, self._check.ends if self._check else None]
        first = min((end for end in ends if end is not None), default=None)
        if first is None:
            return signal.sigwait(_SIGNALS)
        found = signal.sigtimedwait(_SIGNALS, max(0.0, first - time.monotonic()))
        if found is not None:
            return found.si_signo
        now = time.monotonic()
        if self._killed_at is not None and now >= self._killed_at:
            send_signal(self._server, signal.SIGKILL)
            self._killed_at = now + STOP_SECONDS
        if self._check and now >= self._check.ends:
            self._check.timed_out, self._check.ends = True, now + CHECK_SECONDS
            send_signal(self._check.pid, signal.SIGKILL)
        if self._again_at is not None and now >= self._again_at:
            self._reload()
        return None

    def _reload(self) -> None:
        """Check the code that is in its directory now, unless it already serves."""
        self._again_at = None
        if self._check is not None:
            self._again = True
            return
        try:
            code = take_snapshot(self._code_dir, self._store)
        except SnapshotError as error:
            self._refuse("", str(error))
            return
        if self._passed and code.digest == self._serving.digest:
            self._refused = None
            self._write()
            return
        log("INFO", f"the self-check of code {code.digest[:12]} starts")
        self._start_check(code)

    def _start_check(self, code: Snapshot, seconds: float = CHECK_SECONDS, *, fallback: bool = False) -> None:
        reading, writing = os.pipe()

        def check() -> int:
            from .self_check import check_pages

            # For a launcher that is no longer there to end it.
            signal.alarm(math.ceil(seconds + CHECK_SECONDS))
            os.write(writing, (check_pages(str(code.path)) or _PASSED).encode()[:_LONGEST_REASON])
            return 0

        try:
            pid = _fork(check)
        except OSError as error:
            os.close(reading)
            self._refuse(code.digest, f"no process could be made: {error.strerror}")
            return
        finally:
            os.close(writing)
        self._check = SelfCheck(code, fallback, pid, reading, seconds, time.monotonic() + seconds)

    def _judge(self, check: SelfCheck, status: int) -> None:
        with os.fdopen(check.report, "rb") as report:
            why = report.read().decode("utf-8", "replace")
        if why == _PASSED:
            self._activate(check)
            return
        if check.timed_out:
            why = f"its pages did not finish within {check.seconds:.0f} s"
        why = why or f"the process of its self-check ended with status {status}"
        self._refuse(check.snapshot.digest, why)
        if self._passed or check.fallback:
            return
        previous = previous_code(check.snapshot.origin)
        if check.snapshot.verified:
            self._again_at = time.monotonic() + AGAIN_SECONDS
        elif previous is not None:
            self._fall_back(previous)

    def _activate(self, check: SelfCheck) -> None:
        # The directory still holds the refused code, whatever becomes of the code before it.
        self._refused = self._refused if check.fallback else None
        before, self._serving, self._passed = self._serving, check.snapshot, True
        self._write()
        if before.digest != self._serving.digest:
            log("INFO", f"code {self._serving.digest[:12]} is active")
        for path in self._store.iterdir():
            # The server may be about to load the previous one.
            if path not in (before.path, self._serving.path):
                shutil.rmtree(path, ignore_errors=True)

    def _refuse(self, digest: str, why: str) -> None:
        what = "the active code keeps serving" if self._passed else "and there is no other code"
        log("ERROR", f"code {digest[:12]} is refused, {what}: {why}")
        if digest and digest != self._serving.digest:
            shutil.rmtree(self._store / digest, ignore_errors=True)
        self._refused = Refusal(digest, why, time.time())
        self._write()

    def _fall_back(self, directory: Path) -> None:
        """Check the previous code: the push that brought the code of the start ended before its undo."""
        try:
            code = take_snapshot(directory, self._store)
        except SnapshotError as error:
            log("ERROR", f"the previous code cannot be read: {error}")
            return
        log("INFO", f"the self-check of the previous code, {code.digest[:12]}, starts")
        self._start_check(code, fallback=True)

    def _stop(self) -> None:
        self._killed_at = time.monotonic() + STOP_SECONDS
        send_signal(self._server, signal.SIGTERM)
        self._end_check()

    def _end_check(self) -> None:
        if self._check:
            send_signal(self._check.pid, signal.SIGKILL)

    def _reap(self) -> int | None:
        """Reap children that have ended; return the server's exit status when it is among them."""
        while True:
            try:
                pid, found = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            status = exit_status(found)
            if pid == self._server:
                if self._killed_at is None:
                    log("CRITICAL", f"the server ended with status {status}")
                return status
            if self._check and pid == self._check.pid:
                check, self._check = self._check, None
                if self._killed_at is None:
                    self._judge(check, status)

    def _serve(self) -> int:
        from .server import serve

        reading, writing = self._alive
        os.close(writing)
        serve(self._file, reading)
        return 0

    def _write(self) -> None:
        serving = self._serving
        try:
            ActiveCode(serving.digest, str(serving.path), self._passed, self._refused).write(self._file)
        except OSError as error:
            log("ERROR", f"{self._file} cannot be written: {error.strerror}")


def log(level: str, message: str) -> None:
    """Write one line to standard output, in the format of Streamlit's log."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    print(f"{stamp} {level} launcher: {message}", flush=True)


def _fork(run: Callable[[], int]) -> int:
    """Run a function in a new process, which exits with what it returns; return the process's id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # A push may signal again before the launcher has handled the first signal.
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

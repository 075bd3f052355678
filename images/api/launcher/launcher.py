"""The launcher's loop: it handles signals and messages, and starts, activates, drains and stops generations."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import time
from pathlib import Path

from images.launcher.live_code import is_verified, previous_code
from images.launcher.process import exit_status

from .code import Code, CodeError, read_code
from .generation import Generation, start

FIRST_SECONDS = 60.0
"""Readiness timeout of the first code, where there is previous code to fall back on."""
READY_SECONDS = 15.0
"""Readiness timeout of new code. A push that waits for it waits longer."""
DRAIN_SECONDS = 40.0
"""Timeout of a drain; then the generation is told to stop."""
KILL_SECONDS = 15.0
"""Timeout of a generation that was told to stop; then it is killed."""
STATUS = "code.json"
_SIGNALS = (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class Launcher:
    """Keep one generation serving. It must have no threads: generations are made by fork, and share its memory."""

    def __init__(self, code_dir: Path, state_dir: Path) -> None:
        self._code_dir = code_dir
        self._status = state_dir / STATUS
        self._serving: Generation | None = None
        self._coming: Generation | None = None
        self._leaving: list[Generation] = []
        self._refused: dict[str, str | float] | None = None
        """The latest code, when it was not activated."""
        self._fallback: Path | None = None
        """Previous code to start as soon as the first generation has ended."""
        self._again = False
        """New code may have come while a generation was starting."""
        self._stopping = False
        self._result = 0
        self._exit: int | None = None
        self._wake, self._waker = os.pipe()

    def run(self) -> int:
        """Run until the service has ended; return 0 after SIGTERM or SIGINT, else the service's exit status."""
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        with contextlib.suppress(OSError):
            # Of an earlier launcher.
            self._status.unlink()
        self._start()
        self._judge()
        while self._exit is None:
            self._turn()
        return self._exit

    @property
    def _all(self) -> list[Generation]:
        return [one for one in (self._serving, self._coming, *self._leaving) if one is not None]

    def _turn(self) -> None:
        lines = {one.line.fileno(): one for one in self._all}
        times = [one.ends for one in (self._coming, *self._leaving) if one is not None]
        first = min(times, default=math.inf)
        left = max(0.0, first - time.monotonic()) + 0.001 if first < math.inf else None
        ready, _, _ = select.select([self._wake, *lines], [], [], left)
        for descriptor in ready:
            if descriptor in lines:
                lines[descriptor].receive()
        if self._wake in ready:
            for number in os.read(self._wake, 4096):
                self._handle(number)
        self._reap()
        self._judge()

    def _handle(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop(0)
        elif number == signal.SIGHUP and not self._stopping:
            if self._coming is not None:
                self._again = True
            else:
                self._start()

    def _start(self) -> None:
        """Start the code that is in its directory now; if it already serves, have it reload its models."""
        serving = self._serving
        try:
            code = read_code(self._code_dir)
        except CodeError as error:
            self._refuse(error.digest, str(error), 1)
            return
        if serving is not None and serving.code.digest == code.digest:
            self._refused = None
            self._write(code)
            serving.send_signal(signal.SIGHUP)
            return
        if serving is not None:
            log("INFO", f"code {code.digest[:12]} starts beside {serving.code.digest[:12]}")
        self._launch(code)

    def _launch(self, code: Code) -> None:
        serving = self._serving
        foreign = [self._wake, self._waker, *(one.line.fileno() for one in self._all)]
        seconds = READY_SECONDS if serving else FIRST_SECONDS
        if serving is None and self._previous(code.digest) is None:
            # The container's health check has the timeout.
            seconds = math.inf
        try:
            self._coming = start(code, self._status, serving.handed if serving else [], seconds, foreign)
        except OSError as error:
            self._refuse(code.digest, f"no process could be made: {error.strerror}", 1)

    def _judge(self) -> None:
        """Act on readiness, failures and deadlines of the generations."""
        now = time.monotonic()
        coming = self._coming
        if coming is not None and coming.serves:
            self._activate(coming)
        elif coming is not None and (now >= coming.ends or (coming.why and self._serving is not None)):
            self._coming = None
            self._release(coming, signal.SIGTERM, KILL_SECONDS)
            limit = READY_SECONDS if self._serving else FIRST_SECONDS
            why = coming.why or f"it was not ready within {limit:.0f} s"
            self._refuse(coming.code.digest, why, 1)
        for one in self._leaving:
            if now >= one.ends:
                one.send_signal(signal.SIGTERM if one.drains else signal.SIGKILL)
                one.drains, one.ends = False, now + KILL_SECONDS
        if self._fallback is not None and not self._leaving and not self._stopping:
            self._fall_back(self._fallback)
        if self._again and self._coming is None and not self._stopping:
            self._again = False
            self._start()
        if self._stopping and not self._leaving:
            self._exit = self._result

    def _activate(self, coming: Generation) -> None:
        before, self._serving, self._coming = self._serving, coming, None
        if before is not None:
            self._refused = None
        self._write(coming.code)
        if before is None:
            return
        log("INFO", f"code {coming.code.digest[:12]} is active")
        before.close_handed()
        self._release(before, signal.SIGUSR1, DRAIN_SECONDS)

    def _release(self, one: Generation, number: signal.Signals, seconds: float) -> None:
        """Drain a generation (SIGUSR1) or stop it (SIGTERM)."""
        one.drains = number == signal.SIGUSR1
        one.ends = time.monotonic() + seconds
        one.send_signal(number)
        self._leaving.append(one)

    def _stop(self, result: int) -> None:
        """Stop all generations, and return `result` from `run` when they have ended."""
        self._stopping, self._result = True, result
        alive, self._leaving = self._all, []
        self._serving = self._coming = None
        for one in alive:
            self._release(one, signal.SIGTERM, KILL_SECONDS)

    def _refuse(self, digest: str, why: str, status: int) -> None:
        """Refuse the new code: the active code keeps serving, or previous code starts, or `run` returns `status`."""
        first, self._refused = self._refused is None, {"code": digest, "why": why, "at": time.time()}
        if self._serving is not None:
            log("ERROR", f"code {digest[:12]} is refused, the active code keeps serving: {why}")
            self._write(self._serving.code)
            return
        self._fallback = self._previous(digest) if first else None
        if self._fallback is None:
            log("CRITICAL", f"the code cannot be run: {why}")
            self._stop(status)
        else:
            # The push that brought it ended before its undo, and the container was started again.
            log("ERROR", f"code {digest[:12]} cannot be run, the previous code starts: {why}")

    def _previous(self, digest: str) -> Path | None:
        """Return the code to fall back on; None when a push has verified the code with this digest.

        When verified code fails at a start the cause lies elsewhere, and Docker restarts the container.
        """
        return None if is_verified(self._code_dir, digest) else previous_code(self._code_dir)

    def _fall_back(self, directory: Path) -> None:
        refused, self._fallback = self._refused, None
        try:
            self._launch(read_code(directory))
        except CodeError as error:
            self._refuse(error.digest, str(error), 1)
        # The directory still holds the refused code, whatever became of the previous code.
        self._refused = refused

    def _reap(self) -> None:
        while self._all:
            pid, found = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            one = next((item for item in self._all if item.pid == pid), None)
            if one is not None:
                one.receive()
                one.line.close()
                one.close_handed()
                self._ended(one, exit_status(found))

    def _ended(self, one: Generation, status: int) -> None:
        if one in self._leaving:
            self._leaving.remove(one)
        elif one is self._coming:
            self._coming = None
            self._refuse(one.code.digest, one.why or f"it ended with status {status}", status or 1)
        else:
            # Docker restarts the container.
            log("CRITICAL", f"the service ended with status {status}")
            self._serving = None
            self._stop(status or 1)

    def _write(self, serving: Code) -> None:
        part = self._status.with_name(f".{STATUS}")
        try:
            part.write_text(json.dumps({"serving": serving.digest, "refused": self._refused}))
            part.replace(self._status)
        except OSError as error:
            log("ERROR", f"{self._status} cannot be written: {error.strerror}")


def log(level: str, message: str) -> None:
    """Write one line to standard output, in the format of the service's log."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    print(json.dumps({"time": stamp, "level": level, "logger": "launcher", "message": message}), flush=True)

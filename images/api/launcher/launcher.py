"""The launcher's loop: signals and what generations say come in, generations are started, let go and ended."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import time
from pathlib import Path

from .code import Code, CodeError, code_before, read_code, seen_in_force
from .generation import Generation, start

FIRST_SECONDS = 60.0
"""What the first code gets, where there is other code to fall back on."""
READY_SECONDS = 15.0
"""What new code gets to come to serve. A push that waits for it waits longer."""
RETIRE_SECONDS = 40.0
"""What a generation that was let go gets to answer what it has in hand; then it is told to stop."""
KILL_SECONDS = 15.0
"""What one gets that was told to stop; then it is killed."""
STATUS = "code.json"
_SIGNALS = (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class Launcher:
    """Keeps one generation serving. It must have no threads: generations are made by fork, and share its memory."""

    def __init__(self, code_dir: Path, state_dir: Path) -> None:
        self._code_dir = code_dir
        self._status = state_dir / STATUS
        self._serving: Generation | None = None
        self._coming: Generation | None = None
        self._leaving: list[Generation] = []
        self._refused: dict[str, str | float] | None = None
        """What came last, where it did not come to serve."""
        self._fallback: Path | None = None
        """Code to start in place of the first, as soon as that is gone."""
        self._again = False
        """New code may have come while a generation was on its way."""
        self._stopping = False
        self._result = 0
        self._exit: int | None = None
        self._wake, self._waker = os.pipe()

    def run(self) -> int:
        """Until the service has ended: 0 after SIGTERM or SIGINT, else its own status."""
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        with contextlib.suppress(OSError):
            # Of a launcher that was here before.
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
                lines[descriptor].hear()
        if self._wake in ready:
            for number in os.read(self._wake, 4096):
                self._obey(number)
        self._reap()
        self._judge()

    def _obey(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop(0)
        elif number == signal.SIGHUP and not self._stopping:
            if self._coming is not None:
                self._again = True
            else:
                self._start()

    def _start(self) -> None:
        """Start the code that lies in its directory now, unless it is what serves: that reads its models anew."""
        serving = self._serving
        try:
            code = read_code(self._code_dir)
        except CodeError as error:
            self._refuse(error.digest, str(error), 1)
            return
        if serving is not None and serving.code.digest == code.digest:
            self._refused = None
            self._write(code)
            serving.tell(signal.SIGHUP)
            return
        if serving is not None:
            say("INFO", f"code {code.digest[:12]} is to take over from {serving.code.digest[:12]}")
        self._launch(code)

    def _launch(self, code: Code) -> None:
        serving = self._serving
        strangers = [self._wake, self._waker, *(one.line.fileno() for one in self._all)]
        seconds = READY_SECONDS if serving else FIRST_SECONDS
        if serving is None and self._before(code.digest) is None:
            # It is waited for by whoever started us.
            seconds = math.inf
        try:
            self._coming = start(code, self._status, serving.handed if serving else [], seconds, strangers)
        except OSError as error:
            self._refuse(code.digest, f"no process could be made: {error.strerror}", 1)

    def _judge(self) -> None:
        """See what has become of those that come and those that go."""
        now = time.monotonic()
        coming = self._coming
        if coming is not None and coming.serves:
            self._promote(coming)
        elif coming is not None and (now >= coming.ends or (coming.why and self._serving is not None)):
            self._coming = None
            self._let_go(coming, signal.SIGTERM, KILL_SECONDS)
            limit = READY_SECONDS if self._serving else FIRST_SECONDS
            why = coming.why or f"it did not serve within {limit:.0f} s"
            self._refuse(coming.code.digest, why, 1)
        for one in self._leaving:
            if now >= one.ends:
                one.tell(signal.SIGTERM if one.patient else signal.SIGKILL)
                one.patient, one.ends = False, now + KILL_SECONDS
        if self._fallback is not None and not self._leaving and not self._stopping:
            self._fall_back(self._fallback)
        if self._again and self._coming is None and not self._stopping:
            self._again = False
            self._start()
        if self._stopping and not self._leaving:
            self._exit = self._result

    def _promote(self, coming: Generation) -> None:
        before, self._serving, self._coming = self._serving, coming, None
        if before is not None:
            self._refused = None
        self._write(coming.code)
        if before is None:
            return
        say("INFO", f"code {coming.code.digest[:12]} has taken over")
        before.drop()
        self._let_go(before, signal.SIGUSR1, RETIRE_SECONDS)

    def _let_go(self, one: Generation, number: signal.Signals, seconds: float) -> None:
        one.patient = number == signal.SIGUSR1
        one.ends = time.monotonic() + seconds
        one.tell(number)
        self._leaving.append(one)

    def _stop(self, result: int) -> None:
        """End all there is, and return this result then."""
        self._stopping, self._result = True, result
        alive, self._leaving = self._all, []
        self._serving = self._coming = None
        for one in alive:
            self._let_go(one, signal.SIGTERM, KILL_SECONDS)

    def _refuse(self, digest: str, why: str, status: int) -> None:
        """The code that lies there does not come to serve: the old goes on, or is started, or we end with `status`."""
        first, self._refused = self._refused is None, {"code": digest, "why": why, "at": time.time()}
        if self._serving is not None:
            say("ERROR", f"the new code {digest[:12]} is refused, the old goes on: {why}")
            self._write(self._serving.code)
            return
        self._fallback = self._before(digest) if first else None
        if self._fallback is None:
            say("CRITICAL", f"the code cannot be run: {why}")
            self._stop(status)
        else:
            # Whoever brought it went away before the old one was put back, and the container was started again.
            say("ERROR", f"the code {digest[:12]} cannot be run, the code before it is started: {why}")

    def _before(self, digest: str) -> Path | None:
        """What could be started in place of the code that lies there; None where a push has seen that serve.

        When such code fails at a start the cause lies elsewhere, and whoever started us starts us again.
        """
        if digest and digest == seen_in_force(self._code_dir):
            return None
        return code_before((self._code_dir / "__init__.py").resolve().parent)

    def _fall_back(self, place: Path) -> None:
        refused, self._fallback = self._refused, None
        try:
            self._launch(read_code(place))
        except CodeError as error:
            self._refuse(error.digest, str(error), 1)
        # What lies there is what was refused, whatever became of the code before it.
        self._refused = refused

    def _reap(self) -> None:
        while self._all:
            pid, found = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            one = next((item for item in self._all if item.pid == pid), None)
            if one is not None:
                code = os.waitstatus_to_exitcode(found)
                one.hear()
                one.line.close()
                one.drop()
                self._ended(one, code if code >= 0 else 128 - code)

    def _ended(self, one: Generation, status: int) -> None:
        if one in self._leaving:
            self._leaving.remove(one)
        elif one is self._coming:
            self._coming = None
            self._refuse(one.code.digest, one.why or f"it ended with status {status}", status or 1)
        else:
            # What was to be kept running is gone: whoever started us decides what comes next.
            say("CRITICAL", f"the service ended with status {status}")
            self._serving = None
            self._stop(status or 1)

    def _write(self, serving: Code) -> None:
        part = self._status.with_name(f".{STATUS}")
        try:
            part.write_text(json.dumps({"serving": serving.digest, "refused": self._refused}))
            part.replace(self._status)
        except OSError as error:
            say("ERROR", f"{self._status} cannot be written: {error.strerror}")


def say(level: str, message: str) -> None:
    """One line on standard output, in the form of the service's own."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    print(json.dumps({"time": stamp, "level": level, "logger": "launcher", "message": message}), flush=True)

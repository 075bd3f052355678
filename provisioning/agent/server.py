"""The resident process: handles each request in a child that is forked from it, so that none starts a Python."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn, Optional

from provisioning.agent.dispatch import HANDLERS, load, respond
from provisioning.agent.protocol import KILLED, Exit, Frame, Unpacker, pack

_CHUNK = 65536


class Run:
    """A request that is being handled: its process, the pipes to it, and its deadline."""

    def __init__(self, pid: int, pipes: tuple[int, int, int], seconds: Optional[float]) -> None:
        self.pid = pid
        self.input, self.output, self.errors = pipes
        self.waiting = bytearray()
        self.input_ended = False
        self.deadline = None if seconds is None else time.monotonic() + seconds
        for pipe in pipes:
            os.set_blocking(pipe, False)

    def feed(self) -> None:
        """Write as much input as the pipe takes, and close it after the last byte."""
        try:
            while self.waiting and self.input >= 0:
                del self.waiting[: os.write(self.input, self.waiting)]
        except BlockingIOError:
            return
        except OSError:
            self.waiting.clear()
        if self.input_ended and self.input >= 0:
            os.close(self.input)
            self.input = -1

    def read(self, pipe: int) -> Optional[tuple[bytes, bytes]]:
        """Return what the process printed, as kind and content of a frame; None when there is nothing now."""
        try:
            chunk = os.read(pipe, _CHUNK)
        except OSError:
            return None
        if chunk:
            return Frame.OUTPUT if pipe == self.output else Frame.ERRORS, chunk
        os.close(pipe)
        if pipe == self.output:
            self.output = -1
        else:
            self.errors = -1
        return None

    def watched(self) -> Iterator[tuple[int, int]]:
        """Yield the pipes to poll, with the events to poll for."""
        for pipe in (self.output, self.errors):
            if pipe >= 0:
                yield pipe, select.POLLIN
        if self.waiting and self.input >= 0:
            yield self.input, select.POLLOUT

    def close(self) -> None:
        """Close the streams. The process sees the end of its input and may keep running."""
        for pipe in (self.input, self.output, self.errors):
            if pipe >= 0:
                os.close(pipe)
        self.input = self.output = self.errors = -1


class Server:
    """Reads frames from standard input, writes frames to standard output.

    When the input ends, all streams are closed, as sshd does at the end of a session; the server stays
    only for runs whose deadline it has to enforce.
    """

    def __init__(self, archive: int) -> None:
        self._archive = archive
        self._runs: dict[int, Run] = {}
        self._values: dict[int, Any] = {}
        self._connected = True
        self._answered = False
        self._to_load = list(HANDLERS)
        self._frames = Unpacker()
        self._wake, waker = os.pipe()
        for end in (self._wake, waker):
            os.set_blocking(end, False)
            fcntl.fcntl(end, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Serve until the input has ended and no run with a deadline is left."""
        while self._connected:
            self._turn()
        for number, run in list(self._runs.items()):
            run.close()
            if run.deadline is None:
                del self._runs[number]
        while self._runs:
            self._turn()

    def _turn(self) -> None:
        """Wait for the next event and handle it."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if self._connected:
            poll.register(0, select.POLLIN)
        owners: dict[int, int] = {}
        for number, run in self._runs.items():
            for pipe, events in run.watched():
                poll.register(pipe, events)
                owners[pipe] = number
        deadlines = [run.deadline for run in self._runs.values() if run.deadline is not None]
        left = max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1 if deadlines else None
        ahead = self._answered and bool(self._to_load)
        ready = poll.poll(0 if ahead else left)
        if ahead and not ready:
            # What follows the first answer needs other handlers, and they are compiled while nothing else is to do.
            load(self._to_load.pop(0))
        for descriptor, _ in ready:
            if descriptor == self._wake:
                os.read(self._wake, _CHUNK)
            elif descriptor == 0:
                self._receive()
            elif owners[descriptor] in self._runs:
                self._serve_pipe(owners[descriptor], descriptor)
        for number in list(self._runs):
            self._reap(number)

    def _receive(self) -> None:
        chunk = os.read(0, _CHUNK)
        if not chunk:
            self._connected = False
        for kind, number, content in self._frames.feed(chunk):
            run = self._runs.get(number)
            if kind == Frame.START:
                self._start(number, content)
            elif kind == Frame.VALUE:
                self._values[number] = json.loads(content)
            elif run:
                if kind == Frame.INPUT:
                    run.waiting += content
                else:
                    run.input_ended = True
                run.feed()
                if kind == Frame.CLOSE:
                    run.close()

    def _start(self, number: int, content: bytes) -> None:
        request = json.loads(content)
        request["fields"].update((field, self._values[value]) for field, value in request["shared"].items())
        # Imported here, it is compiled once and not in every child; the child reports what is wrong with it.
        with contextlib.suppress(Exception):
            load(request["name"])
        pairs = [os.pipe() for _ in range(3)]
        theirs = (pairs[0][0], pairs[1][1], pairs[2][1])
        ours = (pairs[0][1], pairs[1][0], pairs[2][0])
        try:
            pid = os.fork()
        except OSError as error:
            for pipe in (*theirs, *ours):
                os.close(pipe)
            self._send(Frame.ERRORS, number, f"no process could be created: {error.strerror}".encode())
            self._send(Frame.EXIT, number, str(KILLED).encode())
            return
        if pid == 0:
            self._handle(request, theirs)
        for pipe in theirs:
            os.close(pipe)
        self._runs[number] = Run(pid, ours, request["seconds"])

    def _serve_pipe(self, number: int, pipe: int) -> None:
        """Serve a pipe that the poll has reported; it may have been closed since."""
        run = self._runs[number]
        if pipe == run.input:
            run.feed()
        elif pipe in (run.output, run.errors):
            self._forward(number, run, pipe)

    def _forward(self, number: int, run: Run, pipe: int) -> bool:
        frame = run.read(pipe) if pipe >= 0 else None
        if frame:
            self._send(frame[0], number, frame[1])
        return frame is not None

    def _reap(self, number: int) -> None:
        """Report the end of a run; kill it when its deadline has passed."""
        run = self._runs[number]
        pid, status = os.waitpid(run.pid, os.WNOHANG)
        if pid == 0:
            if run.deadline is not None and time.monotonic() >= run.deadline:
                run.deadline = None
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)
            return
        for pipe in (run.output, run.errors):
            while self._forward(number, run, pipe):
                pass
        run.close()
        del self._runs[number]
        self._answered = True
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else KILLED
        self._send(Frame.EXIT, number, str(code).encode())

    def _send(self, kind: bytes, number: int, content: bytes) -> None:
        data = pack(kind, number, content)
        try:
            while data and self._connected:
                data = data[os.write(1, data) :]
        except OSError:
            self._connected = False

    def _handle(self, request: dict[str, Any], pipes: tuple[int, int, int]) -> NoReturn:
        """Handle a request in this child, and end it."""
        code: int = Exit.FAILED
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor, pipe in enumerate(pipes):
                os.dup2(pipe, descriptor)
            # Pipes of other runs would not end as long as this process had them too.
            os.closerange(3, self._archive)
            os.closerange(self._archive + 1, max(map(int, os.listdir("/proc/self/fd"))) + 1)
            code = respond(request)
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

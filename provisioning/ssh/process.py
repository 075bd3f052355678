"""A command that runs on the host: feed and drain its streams, and wait for its end within a deadline."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from provisioning.errors import DeadlinePassed
from provisioning.host_errors import ConnectionLost, ShellFailed

_CHUNK = 32768
_KEPT_OUTPUT = 8 * 1024 * 1024
_KEPT_NOISE = 64 * 1024


Broken = tuple[type[Exception], ...]
"""What a stream raises whose connection has just gone."""


class Channel(Protocol):
    """The part of paramiko's channel that is used here."""

    closed: bool
    status_event: Event

    @property
    def eof_received(self) -> int: ...

    def fileno(self) -> int: ...
    def close(self) -> None: ...
    def shutdown_write(self) -> None: ...
    def sendall(self, s: bytes) -> None: ...
    def send(self, s: bytes) -> int: ...
    def send_ready(self) -> bool: ...
    def recv(self, nbytes: int) -> bytes: ...
    def recv_ready(self) -> bool: ...
    def recv_stderr(self, nbytes: int) -> bytes: ...
    def recv_stderr_ready(self) -> bool: ...
    def exit_status_ready(self) -> bool: ...
    def recv_exit_status(self) -> int: ...


@dataclass(frozen=True)
class Completed:
    """A remote command that ended: exit status and both streams."""

    status: int
    stdout: str
    stderr: str


class Process:
    """A command that runs on the host. Output before the line `marker` is that of the login shell.

    `pause` waits for output on a channel that has no descriptor to poll.
    """

    def __init__(
        self,
        channel: Channel,
        address: str,
        step: str,
        active: Callable[[], bool],
        broken: Broken,
        marker: bytes = b"",
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._address = address
        self._active = active
        self._broken = broken
        self._channel = channel
        self._step = step
        self._marker = marker
        self._wait_for_more = pause or self._select
        self._noise = bytearray()
        self._stdout = bytearray()
        self._stderr = bytearray()

    @property
    def ended(self) -> bool:
        """Return whether the command has ended, or its connection has."""
        return self._channel.exit_status_ready()

    def close(self) -> None:
        """Close the command's streams; it sees the end of its input."""
        with contextlib.suppress(*self._broken):
            self._channel.close()

    def send(self, data: bytes) -> None:
        """Write to the command's input."""
        try:
            self._channel.sendall(data)
        except self._broken as error:
            raise ConnectionLost(self._address, self._step) from error

    def read_line(self, deadline: float) -> str | None:
        """Return the next whole line of standard output; None when the command ended without one."""
        ends = time.monotonic() + deadline
        while b"\n" not in self._stdout:
            self._drain(None)
            if b"\n" in self._stdout:
                break
            if self._channel.exit_status_ready() and not self._channel.recv_ready():
                self._check_shell()
                return None
            self._check(ends, deadline)
            self._pause(ends)
        line, _, rest = bytes(self._stdout).partition(b"\n")
        self._stdout = bytearray(rest)
        return line.decode("utf-8", "replace")

    def wait(
        self,
        deadline: float,
        *,
        data: bytes = b"",
        on_output: Callable[[bytes], None] | None = None,
        hold_input: bool = False,
    ) -> Completed:
        """Feed `data`, drain both streams and return when the command has ended."""
        ends = time.monotonic() + deadline
        left = memoryview(data)
        feeding = not hold_input
        while True:
            moved = self._drain(on_output)
            if feeding:
                left, sent = self._feed(left)
                moved |= sent
                feeding = len(left) > 0
            if moved:
                continue
            if self._channel.exit_status_ready() and not self._readable():
                break
            self._check(ends, deadline)
            if feeding:
                time.sleep(0.005)
            else:
                self._pause(ends)
        status = self._channel.recv_exit_status()
        if status == -1 and not self._active():
            raise ConnectionLost(self._address, self._step)
        self._check_shell()
        return Completed(
            status, self._stdout.decode("utf-8", "replace"), self._stderr.decode("utf-8", "replace")
        )

    @property
    def channel(self) -> Channel:
        """Return the command's streams, for another reader."""
        return self._channel

    def send_first(self, data: bytes) -> None:
        """Write to the input of a command; do nothing if it has ended already, since its status gives the reason."""
        with contextlib.suppress(*self._broken):
            self._channel.sendall(data)

    def _feed(self, left: memoryview) -> tuple[memoryview, bool]:
        try:
            if not left:
                self._channel.shutdown_write()
                return left, False
            if not self._channel.send_ready():
                return left, False
            sent = self._channel.send(bytes(left[:_CHUNK]))
            left = left[sent:]
            if not left:
                self._channel.shutdown_write()
        except self._broken:
            # The command ended without reading all of it: its status and words say why.
            return memoryview(b""), False
        return left, True

    def _readable(self) -> bool:
        return self._channel.recv_ready() or self._channel.recv_stderr_ready()

    def _drain(self, on_output: Callable[[bytes], None] | None) -> bool:
        moved = False
        while self._channel.recv_ready():
            chunk = self._channel.recv(_CHUNK)
            if not chunk:
                break
            moved = True
            chunk = self._own(chunk)
            if not chunk:
                continue
            if on_output:
                on_output(chunk)
            else:
                _keep(self._stdout, chunk)
        while self._channel.recv_stderr_ready():
            chunk = self._channel.recv_stderr(_CHUNK)
            if not chunk:
                break
            moved = True
            _keep(self._stderr, chunk)
        return moved

    def _own(self, chunk: bytes) -> bytes:
        """Return the command's own part of a chunk: the bytes after the marker."""
        if not self._marker:
            return chunk
        self._noise += chunk
        before, found, after = bytes(self._noise).partition(self._marker)
        if not found:
            del self._noise[:-_KEPT_NOISE]
            return b""
        self._marker = b""
        self._noise = bytearray(before)
        return after

    def _check_shell(self) -> None:
        if self._marker:
            said = bytes(self._noise) + bytes(self._stderr)
            raise ShellFailed(self._address, self._step, said.decode("utf-8", "replace"))

    def _check(self, ends: float, seconds: float) -> None:
        if not self._active():
            raise ConnectionLost(self._address, self._step)
        if time.monotonic() >= ends:
            raise DeadlinePassed(self._step, seconds)

    def _pause(self, ends: float) -> None:
        """Wait for something to read, the end of the command, or a short while."""
        self._wait_for_more(min(0.5, max(0.0, ends - time.monotonic())))

    def _select(self, pause: float) -> None:
        if self._channel.eof_received:
            # At the end of the stream the descriptor is always readable; wait for the status instead.
            self._channel.status_event.wait(min(pause, 0.05))
        else:
            select.select([self._channel], [], [], pause)


def _keep(buffer: bytearray, chunk: bytes) -> None:
    """Append to a buffer, and keep only its end when it grows too large."""
    buffer += chunk
    if len(buffer) > _KEPT_OUTPUT:
        del buffer[: len(buffer) - _KEPT_OUTPUT]

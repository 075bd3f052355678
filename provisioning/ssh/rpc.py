"""The one Python on the host that runs our scripts: many runs over one channel, each with streams of its own."""

from __future__ import annotations

import contextlib
import itertools
import json
import struct
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence

from provisioning.agent import script
from provisioning.ssh.process import Broken, Channel

_HEAD = struct.Struct(">cIi")
_CHUNK = 65536


class RunnerGone(EOFError):
    """The runner has ended, so that nothing can be started through it any more."""


class Stream:
    """One run of a script: to its reader it is what a channel of SSH is."""

    def __init__(self, runner: Runner, number: int) -> None:
        self._runner = runner
        self._number = number
        self._changed = threading.Condition()
        self._output = bytearray()
        self._errors = bytearray()
        self._status: int | None = None
        self.closed = False
        self.status_event = threading.Event()

    @property
    def eof_received(self) -> int:
        return self._status is not None

    def fileno(self) -> int:
        raise OSError("it has no descriptor of its own; `pause` waits for it")

    def pause(self, seconds: float) -> None:
        """Wait until there is something to read or the run has ended, but not longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: self._output or self._errors or self._status is not None, seconds)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._runner.forget(self._number, ended=self._status is not None)

    def shutdown_write(self) -> None:
        self._runner.tell(b"E", self._number)

    def sendall(self, s: bytes) -> None:
        self._runner.tell(b"I", self._number, s)

    def send(self, s: bytes) -> int:
        self.sendall(s)
        return len(s)

    def send_ready(self) -> bool:
        return True

    def recv(self, nbytes: int) -> bytes:
        return self._take(self._output, nbytes)

    def recv_ready(self) -> bool:
        return len(self._output) > 0

    def recv_stderr(self, nbytes: int) -> bytes:
        return self._take(self._errors, nbytes)

    def recv_stderr_ready(self) -> bool:
        return len(self._errors) > 0

    def exit_status_ready(self) -> bool:
        return self._status is not None

    def recv_exit_status(self) -> int:
        self.status_event.wait()
        return -1 if self._status is None else self._status

    def came(self, kind: bytes, content: bytes) -> None:
        """A frame for this run: what it printed, or its end."""
        with self._changed:
            if kind == b"O":
                self._output += content
            elif kind == b"R":
                self._errors += content
            else:
                self._status = int(content)
                self.status_event.set()
            self._changed.notify_all()

    def _take(self, buffer: bytearray, count: int) -> bytes:
        with self._changed:
            taken = bytes(buffer[:count])
            del buffer[:count]
        return taken


class Runner:
    """The near end. `channel` is that of a `remote/runner.py` which has said that it is ready."""

    def __init__(self, channel: Channel, already: bytes, broken: Broken) -> None:
        self._channel = channel
        self._broken = broken
        self._rest = already
        self._numbers = itertools.count(1)
        self._kept: set[str] = set()
        self._given: set[str] = set()
        self._streams: dict[int, Stream] = {}
        self._sending = threading.Lock()
        self._opening = threading.Lock()
        self.over = False
        threading.Thread(target=self._pump, name="onebox-runner", daemon=True).start()

    def start(
        self, name: str, arguments: Sequence[str], seconds: float | None, given: Mapping[str, bytes]
    ) -> Stream:
        """Start a script; after `seconds` it is ended there, if they are given. Its text travels once.

        So does what is `given` by name, to it and to the scripts after it: see `remote/given.py`.
        """
        with self._opening:
            number = next(self._numbers)
            stream = self._streams[number] = Stream(self, number)
            if self.over:
                raise RunnerGone
            self._send(name)
            for label in given.keys() - self._given:
                self.tell(b"G", 0, _packed(label, given[label]))
                self._given.add(label)
        request = {"script": name, "arguments": list(arguments), "seconds": seconds}
        self.tell(b"S", number, json.dumps(request).encode())
        return stream

    def keep(self, names: Iterable[str]) -> None:
        """Send scripts that will be started soon: the host reads them while it has nothing else to do."""
        with self._opening:
            for name in names:
                if not self.over:
                    self._send(name)

    def _send(self, name: str) -> None:
        if name not in self._kept:
            self.tell(b"K", 0, _packed(name, script(name).encode()))
            self._kept.add(name)

    def tell(self, kind: bytes, number: int, content: bytes = b"") -> None:
        """Send one frame. After one that did not get through whole, nothing more can be sent."""
        with self._sending:
            try:
                self._channel.sendall(_HEAD.pack(kind, number, len(content)) + content)
            except self._broken:
                with contextlib.suppress(*self._broken):
                    self._channel.close()
                raise

    def forget(self, number: int, *, ended: bool) -> None:
        """Nobody wants to hear of this run any more; one that goes on sees the end of its input."""
        self._streams.pop(number, None)
        if not ended:
            with contextlib.suppress(*self._broken):
                self.tell(b"C", number)

    def _pump(self) -> None:
        while True:
            try:
                chunk = self._channel.recv(_CHUNK)
            except TimeoutError:
                continue
            except self._broken:
                chunk = b""
            if not chunk:
                break
            self._rest += chunk
            self._deliver()
        with self._opening:
            self.over = True
        for stream in list(self._streams.values()):
            stream.came(b"X", b"-1")

    def _deliver(self) -> None:
        while len(self._rest) >= _HEAD.size:
            kind, number, length = _HEAD.unpack_from(self._rest)
            if len(self._rest) < _HEAD.size + length:
                return
            content = self._rest[_HEAD.size : _HEAD.size + length]
            self._rest = self._rest[_HEAD.size + length :]
            stream = self._streams.get(number)
            if stream is not None:
                stream.came(kind, content)


def _packed(name: str, content: bytes) -> bytes:
    return name.encode() + b"\0" + zlib.compress(content, 9)

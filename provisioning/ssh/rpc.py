"""The client of the agent: many requests over one channel, each with its own streams."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from typing import Any

from provisioning.agent.protocol import KILLED, Frame, Request, Unpacker, pack, start_text
from provisioning.ssh.process import Broken, Channel

_CHUNK = 65536


class AgentGone(EOFError):
    """The agent has ended: no further request can be started."""


class Stream:
    """One request, with the interface of an SSH channel."""

    def __init__(self, agent: Agent, number: int) -> None:
        self._agent = agent
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
        raise OSError("it has no descriptor; `pause` waits for it")

    def pause(self, seconds: float) -> None:
        """Wait until there is something to read or the request has ended, at most this long."""
        with self._changed:
            self._changed.wait_for(lambda: self._output or self._errors or self._status is not None, seconds)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._agent.forget(self._number, ended=self._status is not None)

    def shutdown_write(self) -> None:
        self._agent.send(Frame.END_OF_INPUT, self._number)

    def sendall(self, s: bytes) -> None:
        self._agent.send(Frame.INPUT, self._number, s)

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
        return KILLED if self._status is None else self._status

    def receive(self, kind: bytes, content: bytes) -> None:
        """Take a frame of this request: output, or the exit code."""
        with self._changed:
            if kind == Frame.OUTPUT:
                self._output += content
            elif kind == Frame.ERRORS:
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


class Agent:
    """The client of an agent that has reported ready."""

    def __init__(self, channel: Channel, broken: Broken) -> None:
        self._channel = channel
        self._broken = broken
        self._frames = Unpacker()
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._values: dict[str, int] = {}
        self._sending = threading.Lock()
        self._sharing = threading.Lock()
        self._starting = threading.Lock()
        self.over = False
        threading.Thread(target=self._pump, name="onebox-agent", daemon=True).start()

    def start(self, request: Request[Any], seconds: float | None) -> Stream:
        """Start a request; after `seconds`, unless None, it is killed on the host. Raises AgentGone."""
        with self._starting:
            if self.over:
                raise AgentGone
            number = next(self._numbers)
            stream = self._streams[number] = Stream(self, number)
        self.send(Frame.START, number, start_text(request, seconds, self._share(request)))
        return stream

    def _share(self, request: Request[Any]) -> dict[str, int]:
        """Send the documents of a request that this agent lacks; return field -> number of each.

        A manifest belongs to most requests of a push, and travels once.
        """
        shared: dict[str, int] = {}
        for field, value in vars(request).items():
            if isinstance(value, dict):
                text = json.dumps(value, default=vars)
                with self._sharing:
                    if text not in self._values:
                        self._values[text] = len(self._values) + 1
                        self.send(Frame.VALUE, self._values[text], text.encode())
                    shared[field] = self._values[text]
        return shared

    def send(self, kind: bytes, number: int, content: bytes = b"") -> None:
        """Send a frame. After an incomplete frame, no other can be sent."""
        with self._sending:
            try:
                self._channel.sendall(pack(kind, number, content))
            except self._broken:
                with contextlib.suppress(*self._broken):
                    self._channel.close()
                raise

    def forget(self, number: int, *, ended: bool) -> None:
        """Drop further frames of a request; a request that still runs sees the end of its input."""
        self._streams.pop(number, None)
        if not ended:
            with contextlib.suppress(*self._broken):
                self.send(Frame.CLOSE, number)

    def _pump(self) -> None:
        while True:
            try:
                chunk = self._channel.recv(_CHUNK)
            except TimeoutError:
                continue
            except self._broken:
                break
            if not chunk:
                break
            self._deliver(chunk)
        with self._starting:
            self.over = True
        for stream in list(self._streams.values()):
            stream.receive(Frame.EXIT, str(KILLED).encode())

    def _deliver(self, chunk: bytes) -> None:
        for kind, number, content in self._frames.feed(chunk):
            stream = self._streams.get(number)
            if stream is not None:
                stream.receive(kind, content)

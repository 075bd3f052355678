"""A TCP line to a server that counts what passes, can be cut after so many bytes, and can go dead."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from tests.waiting import wait_until


class Link:
    """Listens on a free loopback port and passes everything on. Use it as a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._goal = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0
        """Bytes from the client to the host."""
        self.received = 0
        self._limit: int | None = None
        self._reset = False
        self._act: tuple[int, Callable[[], object]] | None = None
        self._once: Callable[[], bool] = lambda: True
        self._alive = threading.Event()
        self._alive.set()
        self.cut = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._alive.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break()
        for thread in self._threads:
            thread.join(5)

    def stall(self) -> None:
        """Pass nothing on any more, and say nothing about it."""
        self._alive.clear()

    def cut_after(self, count: int, *, reset: bool = False, once: Callable[[], bool] = lambda: True) -> None:
        """Pass exactly `count` more bytes to the host, then end every line: in order, or with a reset.

        The line is held until `once` is true, 30 s at most: what passed may still be on its way.
        """
        self._reset = reset
        self._once = once
        self._limit = self.sent + count

    def at(self, count: int, act: Callable[[], object]) -> None:
        """Hold the line after this many more bytes to the host until `act` has returned."""
        self._act = self.sent + count, act

    def _spawn(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._goal, timeout=10)
            server.settimeout(None)
            self._pairs.append((client, server))
            self._spawn(self._pump, client, server, True)
            self._spawn(self._pump, server, client, False)

    def _pump(self, source: socket.socket, goal: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                self._alive.wait()
                if up:
                    if self._act and self.sent >= self._act[0]:
                        act, self._act = self._act[1], None
                        act()
                    left = None if self._limit is None else self._limit - self.sent
                    if left is not None and left <= len(data):
                        goal.sendall(data[: max(0, left)])
                        self.sent += max(0, left)
                        self._await()
                        self.cut = True
                        self._break()
                        return
                    self.sent += len(data)
                else:
                    self.received += len(data)
                goal.sendall(data)
            goal.shutdown(socket.SHUT_WR)

    def _await(self) -> None:
        with contextlib.suppress(AssertionError):
            wait_until(self._once)

    def _break(self) -> None:
        for pair in self._pairs:
            for side in pair:
                with contextlib.suppress(OSError):
                    if self._reset:
                        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    side.shutdown(socket.SHUT_RDWR)
                side.close()

"""Two servers of one worker on loopback ports: one answers predictions on the loop, one in the WSGI application."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import uvloop

from app.api.factory import Worker, build_worker
from app.runtime.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.http.connections import ConnectionTable
    from app.settings import ApiSettings

PASSING = re.compile(rb'"prediction_id":"[0-9a-f]{32}"')


@dataclass(frozen=True)
class Servers:
    worker: Worker
    loop: asyncio.AbstractEventLoop
    direct: int
    """Port of the server that answers predictions on the loop."""
    by_app: int
    table: ConnectionTable
    """Connections of the first server."""


@dataclass(frozen=True)
class Reply:
    """A response without what differs between equal requests."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@contextmanager
def running(settings: ApiSettings) -> Iterator[Servers]:
    worker = build_worker(settings, draw=lambda: 0.25)
    loop = uvloop.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()
    ports: list[int] = []
    tables: list[ConnectionTable] = []

    async def serve() -> None:
        servers = [Server(worker, loop, 0, direct=direct) for direct in (True, False)]
        listeners: list[Any] = [
            await loop.create_server(server.connect, "127.0.0.1", 0) for server in servers
        ]
        ports.extend(listener.sockets[0].getsockname()[1] for listener in listeners)
        tables.extend(server.connections for server in servers)
        ready.set()
        await stop.wait()
        for listener, server in zip(listeners, servers, strict=True):
            listener.close()
            server.connections.closing = True
            server.connections.close_idle()
            await server.connections.drained(10)
            server.end()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield Servers(worker, loop, ports[0], ports[1], tables[0])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


class Client:
    """Raw bytes over one kept connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""

    def send(self, content: bytes) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        self._socket.sendall(content)

    def end(self) -> None:
        assert self._socket is not None
        self._socket.shutdown(socket.SHUT_WR)

    def reply(self) -> Reply:
        """The next answer; raises EOFError when the connection ends before it."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:])]
        length = int(dict(headers)["content-length"])
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        kept = tuple(item for item in headers if item[0] not in ("date", "x-request-id"))
        if ("connection", "close") in headers:
            self.close()
        return Reply(int(lines[0].split()[1]), kept, PASSING.sub(b'"prediction_id":""', body))

    def ask(self, content: bytes) -> Reply:
        self.send(content)
        return self.reply()

    def _more(self) -> None:
        assert self._socket is not None
        found = self._socket.recv(65536)
        if not found:
            raise EOFError
        self._rest += found


def post(body: bytes, *headers: str, path: str = "/predict") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        *(
            ()
            if any(h.lower().startswith("content-type") for h in headers)
            else ("Content-Type: application/json",)
        ),
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

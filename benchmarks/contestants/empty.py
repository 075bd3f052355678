"""A constant response of the same size: from this repo's own HTTP server, and as a WSGI application."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

    from app.http.messages import Head, Request
    from app.http.protocol import Connection

BODY = (
    b'{"prediction":0,"class":"setosa","probabilities":{"setosa":1.0,"versicolor":0.0,"virginica":0.0},'
    b'"model_version":"v1","prediction_id":"db30e3a64819f90d1b59a6300b5f37b1","reason":"split"}'
)


def application(environ: dict[str, object], start_response: StartResponse) -> Iterable[bytes]:
    """Return the WSGI application."""
    environ["wsgi.input"].read(int(str(environ.get("CONTENT_LENGTH") or 0)))  # type: ignore[attr-defined]
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]


class Constant:
    """Answers every request with BODY; see `app.http.protocol.Handler`."""

    def refusal(self, _connection: Connection, _head: Head | None, status: int) -> bytes:
        return f"HTTP/1.1 {status} x\r\n".encode()

    def handle(self, connection: Connection, request: Request) -> None:
        connection.answer(request, b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", BODY)


async def serve(port: int) -> None:
    """Run one worker until it is killed."""
    from app.http.connections import ConnectionTable
    from app.http.protocol import Connection

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    loop = asyncio.get_running_loop()
    connect = partial(Connection, ConnectionTable(loop, lambda: None), Constant())
    server = await loop.create_server(connect, sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    os.fork()
    uvloop.run(serve(int(sys.argv[1])))

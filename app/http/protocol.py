"""One HTTP/1.1 connection: requests in, responses out in the order of their requests, and timeouts."""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from app.http.messages import Request
from app.http.request_parser import RequestParser
from app.wire.problems import problem

if TYPE_CHECKING:
    from app.http.connections import ConnectionTable
    from app.http.messages import Head

MAX_QUEUED = 16
"""Pipelined requests that wait for the one before; further ones stay in the socket."""
IDLE_SECONDS = 75
REQUEST_SECONDS = 30
"""From a request's first byte to its last."""
LINGER_SECONDS = 2
"""Time to read the response for a client that is still sending when it is refused."""


class Handler(Protocol):
    """Answers requests: `handle` leads to one call of `connection.answer`, now or later."""

    def handle(self, connection: Connection, request: Request) -> None: ...
    def refusal(self, connection: Connection, head: Head | None, status: int) -> bytes:
        """Return status line and header fields of the response to a request that is not valid HTTP."""
        ...


class Connection(asyncio.Protocol):
    """One client's connection."""

    _transport: asyncio.Transport

    def __init__(self, table: ConnectionTable, handler: Handler) -> None:
        self._table = table
        self._handler = handler
        self._parser = RequestParser(self, table.heads)
        self._current: Request | None = None
        self._queue: deque[Request] = deque()
        self._waiting = 0
        self._held = 0
        self._blocked = False
        self._running = False
        self.ending = False
        self.deadline = 0.0
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio.Transport, so isinstance cannot narrow it.
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if name else ""
        self.deadline = self._table.now + IDLE_SECONDS
        if not self._table.opened(self):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open; try again")

    def connection_lost(self, _error: Exception | None) -> None:
        self.ending = True
        self._table.closed(self)

    def eof_received(self) -> bool:
        if self._parser.head is not None and not self.ending:
            self.refuse(HTTPStatus.BAD_REQUEST, "the request ends before it is complete")
            return True
        # A client that has sent everything and waits for the response still gets it.
        if self._current is not None and not self.ending:
            self._current.keep_alive = False
            return True
        return False

    def pause_writing(self) -> None:
        self._blocked = True
        self._transport.pause_reading()
        self._report_held()

    def resume_writing(self) -> None:
        self._blocked = False
        self._transport.resume_reading()
        self._handle_queued()
        self._report_held()

    def data_received(self, data: bytes) -> None:
        if self.ending:
            return
        between_requests = self._parser.head is None and self._current is None and not self._queue
        if between_requests and self._handle_known_head(data):
            return
        try:
            self._parser.feed(data)
        except httptools.HttpParserUpgrade:
            # No upgrade is offered: the request is answered as it stands, the bytes after it are not HTTP.
            if self._current is not None:
                self._current.keep_alive = False
        if len(self._queue) > MAX_QUEUED:
            self._transport.pause_reading()
        self._report_held()

    def _handle_known_head(self, data: bytes) -> bool:
        """Handle a complete request whose head was parsed before; return whether it was one."""
        end = data.find(b"\r\n\r\n") + 4
        head = self._table.heads.get(data[:end])
        if head is None or len(data) - end != head.length:
            return False
        self._current = request = Request(head, data[end:], self.peer)
        self._handler.handle(self, request)
        return True

    # Called by the parser.

    def begin(self) -> None:
        self.deadline = self._table.now + REQUEST_SECONDS

    def expect_body(self) -> None:
        if self._current is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def receive(self, head: Head, body: bytes) -> None:
        request = Request(head, body, self.peer)
        # A client that does not read responses gets no further ones: each may be many times its request.
        if self._current is None and not self._blocked and not self._queue:
            self._current = request
            self._handler.handle(self, request)
        else:
            self._queue.append(request)
            self._waiting += len(body)

    # Called by the handler.

    def answer(self, request: Request, head: bytes, body: bytes, length: int | None = None) -> None:
        """Send a response. head: status line and header fields without Content-Length and Connection.

        length: Content-Length where it is not that of `body`: a response to HEAD has the one of GET (RFC 9110, 8.6).
        """
        if self.ending:
            return
        size = b"content-length: %d\r\n" % (len(body) if length is None else length)
        if request.head.method == b"HEAD":
            body = b""
        if request.keep_alive and not self._table.closing:
            self._transport.write(b"".join((head, size, b"\r\n", body)))
            self._current = None
            self.deadline = self._table.now + IDLE_SECONDS
            if self._queue:
                self._handle_queued()
        else:
            self._transport.write(b"".join((head, size, b"connection: close\r\n\r\n", body)))
            self.close()

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer a request that is invalid or beyond a limit, and end the connection; once."""
        if self.ending:
            return
        body = problem(status, detail)
        head = self._handler.refusal(self, self._parser.head, status)
        self._transport.write(
            b"%scontent-length: %d\r\nconnection: close\r\n\r\n%s" % (head, len(body), body)
        )
        self.ending = True
        self._parser.discard_body()
        self._queue.clear()
        self._table.holds(self, 0)
        # TCP resets a connection that is closed with bytes unread, and the client might lose the response.
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def close(self) -> None:
        """Close the connection when everything written is sent."""
        self.ending = True
        self._transport.close()

    def close_idle(self) -> None:
        """Close the connection unless it has a request: being read, queued or being answered."""
        if self.ending or (self._current is None and self._parser.head is None and not self._queue):
            self.close()

    def abort(self) -> None:
        """Drop the connection and everything held for it."""
        self.ending = True
        self._queue.clear()
        self._transport.abort()

    def time_out(self) -> None:
        """Close the connection, whose deadline has passed; 408 in the middle of a request."""
        if self._current is not None or self._blocked:
            # The handler works, or the client reads slowly: the client does not owe a byte.
            if self._blocked and self._current is None:
                self._transport.abort()
            return
        if self._parser.head is not None:
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT, f"the request took more than {REQUEST_SECONDS} s to arrive"
            )
        else:
            self.close()

    def _handle_queued(self) -> None:
        # A loop, not a recursion: hundreds of pipelined requests may be refused in a row.
        if self._running:
            return
        self._running = True
        while self._queue and self._current is None and not self._blocked and not self.ending:
            request = self._queue.popleft()
            self._waiting -= len(request.body)
            self._current = request
            self._handler.handle(self, request)
        self._running = False
        if not self._queue and not self._blocked and not self.ending:
            self._transport.resume_reading()

    def _report_held(self) -> None:
        """Report the bytes held for this client: partial body, queued requests, unread responses."""
        if self.ending:
            return
        held = self._waiting + self._parser.held
        if self._blocked:
            held += self._transport.get_write_buffer_size()
        if held or self._held:
            self._held = held
            self._table.holds(self, held)

"""HTTP/1.1 on one connection: requests in, whole and bounded; answers out, in their order. Knows no endpoint.

llhttp (httptools) reads the syntax. Bodies are collected by the event loop, so a client that stalls in the middle of
one holds a few bytes of memory and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import cast

import httptools

from app.http.head_cache import learn
from app.http.limits import (
    IDLE_SECONDS,
    LINGER_SECONDS,
    MAX_HEAD,
    MAX_HEADER,
    MAX_HEADERS,
    MAX_QUEUED,
    MAX_TARGET,
    REQUEST_SECONDS,
)
from app.http.messages import Handler, Head, Request
from app.wire.body import MAX_BODY
from app.wire.problems import problem


class Connection(asyncio.Protocol):
    """One client's connection."""

    _transport: asyncio.Transport

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._current: Request | None = None
        self._reading: Head | None = None
        self._queue: deque[Request] = deque()
        self._parts: list[bytes] = []
        self._size = 0
        self._waiting = 0
        self._held = 0
        self._head_size = 0
        self._in_body = False
        self._blocked = False
        self._running = False
        self._chunk = b""
        self.ending = False
        self.deadline = 0.0
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What create_server gives; uvloop's is of no class that could be asked for.
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if name else ""
        self.deadline = self._handler.now + IDLE_SECONDS
        if not self._handler.opened(self):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open; try again")

    def connection_lost(self, _error: Exception | None) -> None:
        self.ending = True
        self._handler.closed(self)

    def eof_received(self) -> bool:
        if self._reading is not None and not self.ending:
            self.refuse(HTTPStatus.BAD_REQUEST, "the request ends before it is complete")
            return True
        # Somebody who has sent all and waits for the answer still gets it.
        if self._current is not None and not self.ending:
            self._current.keep_alive = False
            return True
        return False

    def pause_writing(self) -> None:
        self._blocked = True
        self._transport.pause_reading()
        self._weigh()

    def resume_writing(self) -> None:
        self._blocked = False
        self._transport.resume_reading()
        self._go_on()
        self._weigh()

    def data_received(self, data: bytes) -> None:
        if self.ending:
            return
        if self._reading is None:
            if self._current is None and not self._queue and self._was_read_before(data):
                return
            self._chunk = data
        else:
            self._chunk = b""
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing to upgrade to: the request was answered as it stands, what follows cannot be understood.
            if self._current is not None:
                self._current.keep_alive = False
        except httptools.HttpParserError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, f"the request is not HTTP: {error}")
        if self._head_size > MAX_HEAD and self._reading is not None and not self._in_body:
            self._too_long()
        if len(self._queue) > MAX_QUEUED:
            self._transport.pause_reading()
        self._weigh()

    def _was_read_before(self, data: bytes) -> bool:
        """Handle a whole request whose head the parser has read before: it would say the same of it again."""
        end = data.find(b"\r\n\r\n") + 4
        head = self._handler.heads.get(data[:end])
        if head is None or len(data) - end != head.length:
            return False
        self._current = request = Request(head, data[end:], self.peer)
        self._handler.handle(self, request)
        return True

    # Called by the parser, in this order.

    def on_message_begin(self) -> None:
        self._reading = Head()
        self._parts = []
        self._size = 0
        self._in_body = False
        self.deadline = self._handler.now + REQUEST_SECONDS

    def on_url(self, url: bytes) -> None:
        if self._reading is not None:
            self._reading.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._reading
        if request is None or self._in_body:
            return
        headers = request.headers
        key = name.lower()
        if key in headers:
            value = headers[key] + (b"; " if key == b"cookie" else b", ") + value
        headers[key] = value
        if len(name) + len(value) > MAX_HEADER or len(headers) > MAX_HEADERS:
            self._too_long()

    def on_headers_complete(self) -> None:
        request = self._reading
        if request is None or self.ending:
            return
        self._in_body = True
        self._head_size = 0
        request.method = self._parser.get_method()
        if len(request.target) > MAX_TARGET:
            self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG, f"the target must not be over {MAX_TARGET} bytes")
            return
        if self._parser.get_http_version() == "1.1" and b"host" not in request.headers:
            self.refuse(HTTPStatus.BAD_REQUEST, "the request has no Host")
            return
        length = request.headers.get(b"content-length")
        if length is not None and (len(length) > 9 or int(length) > MAX_BODY):
            self._body_too_large()
        elif request.headers.get(b"expect", b"").lower() == b"100-continue" and self._current is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self.ending:
            return
        self._size += len(body)
        if self._size > MAX_BODY:
            self._body_too_large()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        head = self._reading
        if head is None or self.ending:
            return
        self._reading = None
        self._in_body = False
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        head.keep_alive = self._parser.should_keep_alive()
        request = Request(head, body, self.peer)
        # Who does not read answers gets no more of them made: each may be many times its request.
        if self._current is None and not self._blocked and not self._queue:
            learn(self._handler.heads, self._chunk, head, len(body))
            self._current = request
            self._handler.handle(self, request)
        else:
            self._queue.append(request)
            self._waiting += len(body)

    # Called by the handler.

    def answer(self, request: Request, head: bytes, body: bytes) -> None:
        """Send an answer: status line and headers but for those of the connection, and the body."""
        if self.ending:
            return
        length = b"content-length: %d\r\n" % len(body)
        if request.head.method == b"HEAD":
            body = b""
        if request.keep_alive:
            self._transport.write(b"".join((head, length, b"\r\n", body)))
            self._current = None
            self.deadline = self._handler.now + IDLE_SECONDS
            if self._queue:
                self._go_on()
        else:
            self._transport.write(b"".join((head, length, b"connection: close\r\n\r\n", body)))
            self.close()

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer what cannot be understood, or not be taken, and end the connection; once."""
        if self.ending:
            return
        body = problem(status, detail)
        head = self._handler.refusal(self, self._reading, status)
        self._transport.write(
            b"%scontent-length: %d\r\nconnection: close\r\n\r\n%s" % (head, len(body), body)
        )
        self.ending = True
        self._parts = []
        self._queue.clear()
        self._handler.holds(self, 0)
        # Closed with bytes unread, TCP would reset the connection and the client might lose the answer.
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def close(self) -> None:
        """End the connection once what was written is sent."""
        self.ending = True
        self._transport.close()

    def last_answer(self) -> None:
        """End the connection with the answer that is due, if one is."""
        if self._current is not None:
            self._current.keep_alive = False

    def close_idle(self) -> None:
        """End the connection unless a request is being read, waits or is being answered."""
        if self.ending or (self._current is None and self._reading is None and not self._queue):
            self.close()

    def abort(self) -> None:
        """Drop the connection and all that is kept for it."""
        self.ending = True
        self._queue.clear()
        self._transport.abort()

    def time_out(self) -> None:
        """End a connection whose deadline is over."""
        if self._current is not None or self._blocked:
            # The handler is at work, or the client is slow to read: neither is the client's silence.
            if self._blocked and self._current is None:
                self._transport.abort()
            return
        if self._reading is not None:
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT, f"the request took more than {REQUEST_SECONDS} s to arrive"
            )
        else:
            self.close()

    def _go_on(self) -> None:
        # A loop and not a recursion: hundreds of pipelined requests may be refused in a row.
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

    def _weigh(self) -> None:
        """Tell the handler how many bytes are kept for this client's sake: half a body, requests, unread answers."""
        if self.ending:
            return
        held = self._waiting
        if self._reading is not None:
            held += self._size
        if self._blocked:
            held += self._transport.get_write_buffer_size()
        if held or self._held:
            self._held = held
            self._handler.holds(self, held)

    def _too_long(self) -> None:
        self.refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the headers are over {MAX_HEADERS}, one of them over {MAX_HEADER} bytes, or all over {MAX_HEAD}",
        )

    def _body_too_large(self) -> None:
        self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body must not be over {MAX_BODY} bytes")

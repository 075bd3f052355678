"""Parse HTTP/1.1 requests from the bytes of one connection, within limits of size.

llhttp (httptools) parses the syntax. Bodies are collected as they come, so a client that stalls in the middle of one
holds a few bytes of memory and no thread.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

import httptools

from app.http.messages import Head
from app.wire.body import MAX_BODY

MAX_HEADERS = 100
MAX_HEADER = 8 * 1024
"""Bytes of one header field, name and value."""
MAX_HEAD = 32 * 1024
"""Bytes of the request line and all header fields."""
MAX_TARGET = 4096
MAX_KNOWN_HEAD = 1024
"""Bytes of a head that is remembered."""
MAX_KNOWN_HEADS = 512
UNIQUE_HEADERS = frozenset((b"x-request-id", b"transfer-encoding", b"expect", b"upgrade", b"traceparent"))
"""Header fields that differ between requests or concern the parser: a head with one is not remembered."""


class Receiver(Protocol):
    """Takes what the parser finds."""

    ending: bool
    """Whether the rest of the bytes is ignored."""

    def begin(self) -> None:
        """Note that the first byte of a request was read."""

    def expect_body(self) -> None:
        """Answer a client that waits for 100 Continue before it sends the body."""

    def receive(self, head: Head, body: bytes) -> None:
        """Handle a complete request."""

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Refuse a request that is invalid or beyond a limit."""


class RequestParser:
    """Parses the requests of one connection."""

    def __init__(self, receiver: Receiver, heads: dict[bytes, Head]) -> None:
        """heads: parsed heads by their bytes; the parser adds to them."""
        self._receiver = receiver
        self._heads = heads
        self._parser = httptools.HttpRequestParser(self)
        self.head: Head | None = None
        """Head of the request that is being read."""
        self._parts: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._in_body = False
        self._chunk = b""

    @property
    def held(self) -> int:
        """Return the bytes of the partial body."""
        return self._size if self.head is not None else 0

    def feed(self, data: bytes) -> None:
        """Parse the next bytes. Raise httptools.HttpParserUpgrade after a request for another protocol."""
        self._chunk = data if self.head is None else b""
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise
        except httptools.HttpParserError as error:
            self._receiver.refuse(HTTPStatus.BAD_REQUEST, f"the request is not HTTP: {error}")
        if self._head_size > MAX_HEAD and self.head is not None and not self._in_body:
            self._head_too_large()

    def discard_body(self) -> None:
        """Free the partial body."""
        self._parts = []

    # Called by llhttp, in this order.

    def on_message_begin(self) -> None:
        self.head = Head()
        self._parts = []
        self._size = 0
        self._in_body = False
        self._receiver.begin()

    def on_url(self, url: bytes) -> None:
        if self.head is not None:
            self.head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        head = self.head
        if head is None or self._in_body:
            return
        headers = head.headers
        key = name.lower()
        if key in headers:
            value = headers[key] + (b"; " if key == b"cookie" else b", ") + value
        headers[key] = value
        if len(name) + len(value) > MAX_HEADER or len(headers) > MAX_HEADERS:
            self._head_too_large()

    def on_headers_complete(self) -> None:
        head = self.head
        if head is None or self._receiver.ending:
            return
        self._in_body = True
        self._head_size = 0
        head.method = self._parser.get_method()
        if len(head.target) > MAX_TARGET:
            self._receiver.refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG, f"the target must not be over {MAX_TARGET} bytes"
            )
            return
        if self._parser.get_http_version() == "1.1" and b"host" not in head.headers:
            self._receiver.refuse(HTTPStatus.BAD_REQUEST, "the request has no Host")
            return
        head.parse_target()
        length = head.headers.get(b"content-length")
        if length is not None and (len(length) > 9 or int(length) > MAX_BODY):
            self._body_too_large()
        elif head.headers.get(b"expect", b"").lower() == b"100-continue":
            self._receiver.expect_body()

    def on_body(self, body: bytes) -> None:
        if self._receiver.ending:
            return
        self._size += len(body)
        if self._size > MAX_BODY:
            self._body_too_large()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        head = self.head
        if head is None or self._receiver.ending:
            return
        self.head = None
        self._in_body = False
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        head.keep_alive = self._parser.should_keep_alive()
        self._remember(head, len(body))
        self._receiver.receive(head, body)

    def _remember(self, head: Head, length: int) -> None:
        """Remember a head that came in one chunk with its whole body of `length` bytes, and may come again."""
        chunk, headers = self._chunk, head.headers
        start = len(chunk) - length
        if (
            not 0 < start <= MAX_KNOWN_HEAD
            or chunk.find(b"\r\n\r\n") + 4 != start
            or headers.get(b"content-length") != b"%d" % length
            or not UNIQUE_HEADERS.isdisjoint(headers)
        ):
            return
        if len(self._heads) >= MAX_KNOWN_HEADS:
            self._heads.clear()
        head.length = length
        self._heads[chunk[:start]] = head

    def _head_too_large(self) -> None:
        self._receiver.refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the headers are over {MAX_HEADERS}, one of them over {MAX_HEADER} bytes, or all over {MAX_HEAD}",
        )

    def _body_too_large(self) -> None:
        self._receiver.refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body must not be over {MAX_BODY} bytes"
        )

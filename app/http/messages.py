"""An HTTP request, and what a connection asks of whoever answers it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.http.protocol import Connection
    from app.traffic.routing_hints import Asked


class Head:
    """All of a request but its body."""

    __slots__ = ("ask", "headers", "keep_alive", "length", "logged", "method", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        """By names in lower case; what comes twice is joined as RFC 9110 has it."""
        self.keep_alive = True
        self.length = 0
        self.logged: bytes | None = None
        """What the access log says of it, once that is known."""
        self.ask: Asked | None = None
        """What a prediction with this head asks for, once that is known."""


class Request:
    """One request, whole."""

    __slots__ = ("began", "body", "head", "keep_alive", "peer")

    def __init__(self, head: Head, body: bytes, peer: str) -> None:
        self.head = head
        self.body = body
        self.peer = peer
        self.keep_alive = head.keep_alive
        self.began = time.perf_counter()

    def header(self, name: str) -> str | None:
        """A header's value as WSGI would give it; None where it is missing."""
        value = self.head.headers.get(_key(name))
        return None if value is None else value.decode("latin-1")


_KEYS: dict[str, bytes] = {}


def _key(name: str) -> bytes:
    found = _KEYS.get(name)
    if found is None:
        found = _KEYS[name] = name.lower().encode()
    return found


class Handler(Protocol):
    """What answers requests. `handle` ends in one call of `connection.answer`, now or later."""

    now: float
    """Seconds on the loop's clock, a second old at most."""
    heads: dict[bytes, Head]
    """Heads that were read before, by their bytes. Clients send the same one again and again."""

    def opened(self, connection: Connection) -> bool: ...
    def closed(self, connection: Connection) -> None: ...
    def holds(self, connection: Connection, count: int) -> None: ...
    def handle(self, connection: Connection, request: Request) -> None: ...
    def refusal(self, connection: Connection, head: Head | None, status: int) -> bytes: ...

"""An HTTP request as the connection has read it."""

from __future__ import annotations

import time
from urllib.parse import unquote_to_bytes


class Head:
    """Request line and header fields of a request."""

    __slots__ = ("headers", "keep_alive", "length", "method", "path", "query", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        """The request target as it was sent."""
        self.path = b""
        """Path of the target, percent-decoded."""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        """By lower-case name; repeated fields are joined as in RFC 9110, 5.3."""
        self.keep_alive = True
        self.length = 0
        """Bytes of the body; set for a head that the connection table remembers."""

    def parse_target(self) -> None:
        """Set path and query; join the host of an absolute-form target (RFC 9112, 3.2.2) to another Host.

        Joined like a repeated field, two different hosts match no trusted host.
        """
        path, _, self.query = self.target.partition(b"?")
        if not path.startswith(b"/") and b"://" in path:
            host, _, rest = path.split(b"://", 1)[1].partition(b"/")
            path = b"/" + rest
            named = self.headers.get(b"host", b"")
            if host.lower() != named.lower():
                self.headers[b"host"] = named + b", " + host
        self.path = unquote_to_bytes(path) if b"%" in path else path


class Request:
    """A complete request."""

    __slots__ = ("began", "body", "head", "keep_alive", "peer")

    def __init__(self, head: Head, body: bytes, peer: str) -> None:
        """peer: address of the client, "" where it has none."""
        self.head = head
        self.body = body
        self.peer = peer
        self.keep_alive = head.keep_alive
        self.began = time.perf_counter()

    def header(self, name: str) -> str | None:
        """Return a header field's value as WSGI decodes it; None where it is missing."""
        value = self.head.headers.get(_key(name))
        return None if value is None else value.decode("latin-1")


_KEYS: dict[str, bytes] = {}


def _key(name: str) -> bytes:
    found = _KEYS.get(name)
    if found is None:
        found = _KEYS[name] = name.lower().encode()
    return found

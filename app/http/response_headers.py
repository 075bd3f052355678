"""Header fields that every response carries: security headers and the request id."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.http.messages import Head

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, and values."""

POLICY = "content-security-policy"
SECURITY_HEADERS: Headers = (
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    (POLICY, "default-src 'none'; frame-ancestors 'none'"),
)
REQUEST_ID = "x-request-id"
# An id for logs, not a secret. `random` seeds itself again in every forked process.
_random_bits = random.getrandbits
_CLIENTS_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id(head: Head | None) -> bytes:
    """Return the client's X-Request-ID where it is well-formed, else a random one of 32 hex digits."""
    given = head.headers.get(b"x-request-id") if head is not None else None
    if given is not None and _CLIENTS_ID.fullmatch(given):
        return given
    return _random_bits(128).to_bytes(16, "big").hex().encode()


def encode(headers: Headers) -> bytes:
    """Return header fields as they stand in a response."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")

"""Access control of every request: trusted hosts, rate limit, keys and CORS. The server and the middleware share it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.http.rate_limit import client_of
from app.keys import Keys, presented
from app.wire.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.errors import Reason
    from app.http.messages import Head
    from app.http.rate_limit import RateLimit
    from app.http.response_headers import Headers

OPEN = frozenset((b"/", b"/health", b"/ready", b"/metrics", b"/openapi.json", b"/docs"))
"""Paths that need no key and have no rate limit, beside GET /config and every OPTIONS."""
PROBES = frozenset((b"/health", b"/ready", b"/metrics"))
"""Paths that answer under any host name: probes know only an address."""
LOCAL_HOSTS = frozenset((b"flask-api", b"localhost", b"127.0.0.1", b"[::1]"))
"""Host names by which the other services of the machine call this one; always trusted."""
PREFLIGHT: Headers = (
    ("access-control-allow-methods", "GET, POST, PUT"),
    (
        "access-control-allow-headers",
        "authorization, content-type, x-api-key, x-model-version, x-request-id, x-synthetic, x-user-id",
    ),
    ("access-control-max-age", "600"),
)
_VARY: Headers = (("vary", "origin"),)
_PORT = re.compile(rb":[0-9]*$")


@dataclass(frozen=True)
class Refusal:
    """Status, reason and header fields of the response to a request without access."""

    status: HTTPStatus
    reason: Reason
    detail: str
    headers: Headers = ()

    @property
    def body(self) -> bytes:
        """Return the problem document."""
        return problem(self.status, self.detail)


_NO_KEY = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "unauthorized",
    "a key is required: Authorization: Bearer KEY, or X-API-Key: KEY",
    (("www-authenticate", 'Bearer realm="onebox"'),),
)
_OVER_RATE = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS,
    "rate_limited",
    "too many requests in this second",
    (("retry-after", "1"),),
)
_UNTRUSTED_HOST = Refusal(HTTPStatus.BAD_REQUEST, "untrusted_host", "the host name in Host is not trusted")


class AccessControl:
    """The access rules of one worker. Safe to call from any thread."""

    def __init__(
        self,
        *,
        keys: Keys | None,
        admin_keys: Keys | None,
        rate_limit: RateLimit | None,
        origins: frozenset[str],
        hosts: frozenset[str],
        refused: Callable[[Reason], None],
    ) -> None:
        """keys: keys for predictions; None: no key is needed. admin_keys: accepted for predictions, too.

        origins: CORS origins. hosts: trusted host names without ports; none: any. refused: counts a refusal.
        """
        self._keys = keys
        self._admin_keys = admin_keys
        self._rate_limit = rate_limit
        self._origins = frozenset(origin.encode() for origin in origins)
        self._hosts = frozenset(host.encode() for host in hosts) | LOCAL_HOSTS if hosts else None
        self._refused = refused
        self.unrestricted = keys is None and rate_limit is None and not hosts
        """Whether `refuse` lets every request pass."""

    def refuse(self, head: Head, peer: str) -> Refusal | None:
        """Return why this request has no access, and count it; None where it has. Counts towards the rate limit."""
        refusal = self._refusal(head, peer)
        if refusal is not None:
            self._refused(refusal.reason)
        return refusal

    def _refusal(self, head: Head, peer: str) -> Refusal | None:
        if self._hosts is not None and head.path not in PROBES:
            host = _PORT.sub(b"", head.headers.get(b"host", b"").lower())
            if host not in self._hosts:
                return _UNTRUSTED_HOST
        if head.path in OPEN or head.method == b"OPTIONS" or (head.path, head.method) == (b"/config", b"GET"):
            return None
        if self._rate_limit is not None and not self._rate_limit.allows(client_of(peer), int(time.time())):
            return _OVER_RATE
        if self._keys is not None and not self._has_key(self._keys, head):
            return _NO_KEY
        return None

    def _has_key(self, keys: Keys, head: Head) -> bool:
        key = presented(_text(head, b"authorization"), _text(head, b"x-api-key"))
        return keys.name_of(key) is not None or (
            self._admin_keys is not None and self._admin_keys.name_of(key) is not None
        )

    def cors(self, head: Head | None) -> Headers:
        """Return the header fields that let a page of an allowed origin read the response."""
        if not self._origins:
            return ()
        origin = head.headers.get(b"origin") if head is not None else None
        if origin is None or origin not in self._origins:
            return _VARY
        return (("access-control-allow-origin", origin.decode()), *_VARY)

    def preflight(self, head: Head) -> Headers | None:
        """Return the header fields of the response to a CORS preflight; None where this is no preflight."""
        if head.method != b"OPTIONS" or b"access-control-request-method" not in head.headers:
            return None
        return PREFLIGHT if head.headers.get(b"origin") in self._origins else ()


def _text(head: Head, name: bytes) -> str | None:
    value = head.headers.get(name)
    return None if value is None else value.decode("latin-1")

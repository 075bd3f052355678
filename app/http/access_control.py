"""Who gets in: key, rate and origin of a request, before anything is done for it."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.errors import Reason
from app.http.rate_limit import client_of
from app.keys import Keys, presented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.http.messages import Head, Request
    from app.http.rate_limit import RateLimit

OPEN = frozenset((b"/", b"/health", b"/ready", b"/metrics", b"/openapi.json", b"/docs"))
"""Never asks for a key: probes, Prometheus, and what tells how to use the rest (with GET /config)."""
PREFLIGHT = (
    b"access-control-allow-methods: GET, POST, PUT\r\n"
    b"access-control-allow-headers: authorization, content-type, x-api-key, x-model-version, x-request-id, "
    b"x-synthetic, x-user-id\r\n"
    b"access-control-max-age: 600\r\n"
)


_PORT = re.compile(rb":[0-9]*$")
PROBES = frozenset((b"/health", b"/ready", b"/metrics"))
"""Answered whatever host they name: who probes knows an address, and what they tell is no secret."""
OWN_HOSTS = frozenset((b"flask-api", b"localhost", b"127.0.0.1", b"[::1]"))
"""How the services on the same host call this one."""


class Refusal:
    """Why a request does not get in, and the headers that belong to that."""

    __slots__ = ("detail", "headers", "reason", "status")

    def __init__(self, status: HTTPStatus, reason: Reason, detail: str, headers: bytes) -> None:
        self.status = status
        self.reason: Reason = reason
        self.detail = detail
        self.headers = headers


_NO_KEY = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "unauthorized",
    "this needs a key: Authorization: Bearer KEY, or X-API-Key: KEY",
    b'www-authenticate: Bearer realm="onebox"\r\n',
)
_TOO_MANY = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "too many requests in this second", b"retry-after: 1\r\n"
)


_OTHER_HOST = Refusal(
    HTTPStatus.BAD_REQUEST, "untrusted_host", "this service is not known by the name in Host", b""
)


class Gate:
    """What every request passes, whatever answers it."""

    def __init__(
        self,
        *,
        keys: Keys | None,
        admin: Keys | None,
        rate: RateLimit | None,
        origins: frozenset[bytes],
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        """keys: who may ask; None: everybody. admin: who may change; they may ask, too. hosts: names that the service
        is known by; none: any."""
        self._keys = keys
        self._admin = admin
        self._rate = rate
        self._origins = origins
        self._hosts = frozenset(host.encode() for host in hosts) | OWN_HOSTS if hosts else None
        self.open = keys is None and rate is None and not hosts
        """Nothing to look at."""

    def refusal(self, request: Request) -> Refusal | None:
        """Why this request does not get in; None when it does. Counts it."""
        head = request.head
        path = head.target.partition(b"?")[0]
        if self._hosts is not None and path not in PROBES and not self._knows(head):
            return _OTHER_HOST
        if path in OPEN or head.method == b"OPTIONS" or (path == b"/config" and head.method == b"GET"):
            return None
        if self._rate is not None and not self._rate.allows(client_of(request.peer), int(time.time())):
            return _TOO_MANY
        if self._keys is not None:
            key = presented(request.header("Authorization"), request.header("X-API-Key"))
            if self._keys.name_of(key) is None and (self._admin is None or self._admin.name_of(key) is None):
                return _NO_KEY
        return None

    def _knows(self, head: Head) -> bool:
        """Whether it names a host that is trusted, in any case and with any port."""
        names = [head.headers.get(b"host", b"")]
        if not head.target.startswith(b"/") and b"://" in head.target:
            # What stands in the target counts, and must not differ from what a cache would look at.
            names.append(head.target.split(b"://", 1)[1].partition(b"/")[0])
        return all(_PORT.sub(b"", name.lower()) in (self._hosts or ()) for name in names)

    def cors(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Headers that let a page of an allowed origin read the answer; nothing for others."""
        if not self._origins:
            return b""
        origin = headers.get(b"origin")
        if origin is None or origin not in self._origins:
            return b"vary: origin\r\n"
        return b"access-control-allow-origin: %b\r\nvary: origin\r\n" % origin

"""Who gets in: key, rate and origin of a request, before anything is done for it."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.errors import Reason
from app.keys import Keys, presented
from app.rate import client_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.rate import RateLimit
    from app.request import Request

OPEN = frozenset((b"/", b"/health", b"/ready", b"/metrics", b"/openapi.json", b"/docs"))
"""Never asks for a key: probes, Prometheus, and what tells how to use the rest (with GET /config)."""
PREFLIGHT = (
    b"access-control-allow-methods: GET, POST, PUT\r\n"
    b"access-control-allow-headers: authorization, content-type, x-api-key, x-model-version, x-request-id, "
    b"x-synthetic, x-user-id\r\n"
    b"access-control-max-age: 600\r\n"
)


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


class Gate:
    """What every request passes, whatever answers it."""

    def __init__(
        self, *, keys: Keys | None, admin: Keys | None, rate: RateLimit | None, origins: frozenset[bytes]
    ) -> None:
        """keys: who may ask; None: everybody. admin: who may change; they may ask, too."""
        self._keys = keys
        self._admin = admin
        self._rate = rate
        self._origins = origins
        self.open = keys is None and rate is None
        """Nothing to look at."""

    def refusal(self, request: Request) -> Refusal | None:
        """Why this request does not get in; None when it does. Counts it."""
        head = request.head
        path = head.target.partition(b"?")[0]
        if path in OPEN or head.method == b"OPTIONS" or (path == b"/config" and head.method == b"GET"):
            return None
        if self._rate is not None and not self._rate.allows(client_of(request.peer), int(time.time())):
            return _TOO_MANY
        if self._keys is not None:
            key = presented(request.header("Authorization"), request.header("X-API-Key"))
            if self._keys.name_of(key) is None and (self._admin is None or self._admin.name_of(key) is None):
                return _NO_KEY
        return None

    def cors(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Headers that let a page of an allowed origin read the answer; nothing for others."""
        if not self._origins:
            return b""
        origin = headers.get(b"origin")
        if origin is None or origin not in self._origins:
            return b"vary: origin\r\n"
        return b"access-control-allow-origin: %b\r\nvary: origin\r\n" % origin

"""Self-check of new code: it answers readiness and the canary rows over HTTP before it takes traffic."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from app.errors import ServerError
from app.inference.models import CANARY_TOLERANCE
from app.wire.schemas import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.inference.predict import PredictService
    from app.manifest import Canary
    from app.runtime.server import Server

SECONDS = 5.0
_NO_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
"""Right answers where keys or a rate limit are set; the models cannot be checked then."""


async def self_check(server: Server, service: PredictService, host: str) -> None:
    """Request readiness and each model's canary row on a free port. Raise ServerError for a wrong response.

    host: a trusted host name.
    """
    catalogue = service.bundle.models.catalogue
    canaries = (
        {version: entry.canary for version, entry in catalogue.manifest.models.items()} if catalogue else {}
    )
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server.connect, "127.0.0.1", 0)
    try:
        port: int = listener.sockets[0].getsockname()[1]
        await loop.run_in_executor(None, _check, port, host, canaries)
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"it does not respond as expected: {error!r}", hint="") from error
    finally:
        listener.close()


def _check(port: int, host: str, canaries: Mapping[str, Canary]) -> None:
    status, body = _request(port, "GET", "/ready", None, {"Host": host})
    if status != HTTPStatus.OK:
        raise ServerError(f"GET /ready answers {status}: {body[:200]!r}", hint="")
    for version, canary in canaries.items():
        headers = {
            "Host": host,
            "Content-Type": "application/json",
            "X-Model-Version": version,
            "X-Synthetic": "1",
        }
        row = json.dumps({"features": canary.features}).encode()
        status, body = _request(port, "POST", "/predict", row, headers)
        if status in _NO_ACCESS:
            return
        if status != HTTPStatus.OK or not _matches(body, version, canary):
            raise ServerError(
                f"POST /predict of the canary row of {version} answers {status}: {body[:200]!r}", hint=""
            )


def _matches(body: bytes, version: str, canary: Canary) -> bool:
    """Return whether a response is the one recorded in training."""
    try:
        found = msgspec.json.decode(body, type=Prediction)
    except msgspec.DecodeError:
        return False
    chances = found.probabilities.values()
    return (
        (found.prediction, found.model_version) == (canary.prediction, version)
        and len(chances) == len(canary.probabilities)
        and all(
            math.isclose(got, wanted, abs_tol=CANARY_TOLERANCE)
            for got, wanted in zip(chances, canary.probabilities, strict=True)
        )
    )


def _request(
    port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()

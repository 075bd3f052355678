"""New code answers itself before it answers anybody else: over HTTP, through all of it, on a port that nobody knows."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from app.errors import ServerError
from app.http.protocol import Connection
from app.inference.models import CANARY_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.inference.predict import PredictService
    from app.manifest import Canary
    from app.runtime.server import Front

SECONDS = 5.0
_UNASKABLE = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
"""Answers that are right where keys or a rate limit are set, and say nothing about the models."""


async def prove(front: Front, service: PredictService, host: str) -> None:
    """Ask for readiness and for each arm's canary row. Raises ServerError when an answer is not as it should be.

    host: a name under which clients may call the service.
    """
    catalogue = service.serving.models.catalogue
    canaries = (
        {version: entry.canary for version, entry in catalogue.manifest.models.items()} if catalogue else {}
    )
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, front), "127.0.0.1", 0)
    try:
        port: int = server.sockets[0].getsockname()[1]
        await loop.run_in_executor(None, _ask_all, port, host, canaries)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServerError(f"it does not answer as it should: {error!r}", hint="") from error
    finally:
        server.close()


def _ask_all(port: int, host: str, canaries: Mapping[str, Canary]) -> None:
    status, body = _ask(port, "GET", "/ready", None, {"Host": host})
    if status != HTTPStatus.OK:
        raise ServerError(f"GET /ready answers {status}: {body[:200]!r}", hint="")
    for version, canary in canaries.items():
        headers = {
            "Host": host,
            "Content-Type": "application/json",
            "X-Model-Version": version,
            "X-Synthetic": "1",
        }
        question = json.dumps({"features": canary.features}).encode()
        status, body = _ask(port, "POST", "/predict", question, headers)
        if status in _UNASKABLE:
            return
        if status != HTTPStatus.OK or not _same(json.loads(body), version, canary):
            raise ServerError(
                f"POST /predict of the canary row of {version} answers {status}: {body[:200]!r}", hint=""
            )


def _same(answer: Any, version: str, canary: Canary) -> bool:
    """Whether this is what was recorded in training."""
    if not isinstance(answer, dict) or not isinstance(answer.get("probabilities"), dict):
        return False
    given = answer["probabilities"].values()
    return (
        (answer.get("prediction"), answer.get("model_version")) == (canary.prediction, version)
        and len(given) == len(canary.probabilities)
        and all(
            math.isclose(got, wanted, abs_tol=CANARY_TOLERANCE)
            for got, wanted in zip(given, canary.probabilities, strict=True)
        )
    )


def _ask(
    port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()

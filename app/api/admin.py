"""PUT /config: change the traffic split at run time, with an admin key."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from flask import Blueprint, Response, request

from app.api.responses import json_response, problem_response
from app.errors import InvalidRequestError
from app.keys import Keys, presented
from app.wire.body import read_body
from app.wire.schemas import ConfigChange

if TYPE_CHECKING:
    from app.api.service_state import ServiceState
    from app.traffic.split import LiveSplit

log = logging.getLogger("app")


def admin(keys: Keys | None, live: LiveSplit, state: ServiceState) -> Blueprint:
    """Return the endpoints that need an admin key. keys: the admin keys; None: every change is refused."""
    blueprint = Blueprint("admin", __name__)

    @blueprint.put("/config")
    def _change() -> Response:
        if keys is None:
            return problem_response(
                HTTPStatus.FORBIDDEN, "no admin key is configured, so the split cannot be changed at run time"
            )
        name = keys.name_of(presented(request.headers.get("Authorization"), request.headers.get("X-API-Key")))
        if name is None:
            answer = problem_response(
                HTTPStatus.UNAUTHORIZED, "an admin key is required: Authorization: Bearer KEY"
            )
            answer.headers["WWW-Authenticate"] = 'Bearer realm="onebox admin"'
            return answer
        try:
            weights = _weights(read_body(request.environ))
        except InvalidRequestError as error:
            return problem_response(error.status, error.detail, error.field)
        live.set(weights, f"key {name} from {request.remote_addr}")
        log.warning(
            "split set to %s by key %s from %s", weights or "the pushed one", name, request.remote_addr
        )
        return json_response(state.config())

    return blueprint


def _weights(body: bytes) -> tuple[int, int] | None:
    try:
        change = msgspec.json.decode(body, type=ConfigChange)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(
            422, "wrong_shape", f"the change cannot be used: {error}", "weights"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(400, "malformed_json", f"the body is not JSON: {error}") from None
    if change.weights is None:
        return None
    v1, v2 = change.weights.v1, change.weights.v2
    if not (v1.is_integer() and v2.is_integer()):
        raise InvalidRequestError(422, "wrong_type", "weights must be whole numbers", "weights")
    if v1 + v2 == 0:
        raise InvalidRequestError(
            422, "out_of_range", "both weights are 0, so no model would answer", "weights"
        )
    return int(v1), int(v2)

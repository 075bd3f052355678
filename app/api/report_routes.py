"""Endpoints of drift, experiment and prediction log."""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from flask import Blueprint, Response, request

from app.api.responses import json_response, problem_response
from app.errors import InvalidRequestError, UnknownPredictionError
from app.experiment.prediction_log import MOST_SHOWN, Feedback
from app.wire.body import read_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.api.service_state import ServiceState
    from app.errors import Reason
    from app.experiment.prediction_log import PredictionLog

SHOWN = 100
log = logging.getLogger("app")


def reports(state: ServiceState, predictions: PredictionLog, refused: Callable[[Reason], None]) -> Blueprint:
    """Return GET /drift, /experiment, /predictions and POST /feedback. refused: counts an invalid request."""
    blueprint = Blueprint("reports", __name__)

    @blueprint.get("/drift")
    def _drift() -> Response:
        return json_response(state.drift())

    @blueprint.get("/experiment")
    def _experiment() -> Response:
        return json_response(predictions.experiment())

    @blueprint.get("/predictions")
    def _predictions() -> Response:
        text = request.args.get("limit", str(SHOWN))
        if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 0 < int(text) <= MOST_SHOWN):
            raise InvalidRequestError(
                422, "out_of_range", f"limit must be a whole number from 1 to {MOST_SHOWN}", "limit"
            )
        return json_response(predictions.latest(int(text)))

    @blueprint.post("/feedback")
    def _feedback() -> Response:
        return json_response(predictions.feedback(_given(read_body(request.environ))))

    @blueprint.errorhandler(InvalidRequestError)
    def _invalid(error: InvalidRequestError) -> Response:
        refused(error.reason)
        return problem_response(error.status, error.detail, error.field)

    @blueprint.errorhandler(UnknownPredictionError)
    def _unknown(error: UnknownPredictionError) -> Response:
        return problem_response(HTTPStatus.NOT_FOUND, f"{error}. {error.hint}", "prediction_id")

    @blueprint.errorhandler(sqlite3.Error)
    def _log_unavailable(error: sqlite3.Error) -> Response:
        log.error("prediction log: %s", error)
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "the prediction log is unavailable")

    return blueprint


def _given(body: bytes) -> Feedback:
    if not body.strip():
        raise InvalidRequestError(
            400, "empty_body", 'the body is empty; send {"prediction_id": "…", "label": "…"}'
        )
    try:
        return msgspec.json.decode(body, type=Feedback)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(422, "wrong_shape", f"the body is invalid: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(400, "malformed_json", f"the body is not JSON: {error}") from None

"""The HTTP face: each view only adapts what the service or its state says."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Blueprint, Response, request

from app.errors import InvalidRequestError
from app.inference.metrics import CONTENT_TYPE as METRICS_TEXT
from app.inference.metrics import Metrics
from app.traffic.routing_hints import asked
from app.wire.body import JSON, read_body

if TYPE_CHECKING:
    from app.api.service_state import ServiceState
    from app.inference.predict import PredictService

ENDPOINTS = {
    "POST /predict": "predictions for one row of features, or for a batch",
    "GET /health": "200 while the process lives",
    "GET /ready": "200 while both models answer, else 503 and why",
    "GET /config": "weights, models, features, ranges, classes",
    "POST /feedback": "the class that a prediction should have had",
    "GET /drift": "recent rows and answers against the training rows",
    "GET /experiment": "v1 against v2: figures of both, and a verdict that may be looked at any time",
    "GET /predictions": "the latest predictions, newest first",
    "GET /metrics": "Prometheus text",
    "GET /openapi.json": "all of this for programs",
    "GET /docs": "a page to try it",
}


def api(service: PredictService, state: ServiceState, metrics: Metrics) -> Blueprint:
    """All endpoints of the API."""
    blueprint = Blueprint("api", __name__)

    @blueprint.get("/")
    def _index() -> Response:
        return _json({"service": "flask-api", "endpoints": ENDPOINTS})

    @blueprint.post("/predict")
    def _predict() -> Response:
        try:
            answer = service.answer(read_body(request.environ), asked(request.headers.get))
        except InvalidRequestError as error:
            answer = service.refuse(error)
        return Response(answer.body, answer.status, content_type=answer.content_type)

    @blueprint.get("/health")
    def _health() -> Response:
        return _json({"status": "alive", "service_digest": state.service_digest})

    @blueprint.get("/ready")
    def _ready() -> Response:
        view = state.readiness()
        ready = view.status == "ready"
        return _json(view, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    @blueprint.get("/config")
    def _config() -> Response:
        return _json(state.config())

    @blueprint.get("/metrics")
    def _metrics() -> Response:
        return Response(metrics.render(), content_type=METRICS_TEXT)

    return blueprint


def _json(content: Any, status: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(content), status, content_type=JSON)

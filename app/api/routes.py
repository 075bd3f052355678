"""Endpoints of predictions and of the service's own state."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from app.api.responses import json_response
from app.errors import InvalidRequestError
from app.inference.metrics import CONTENT_TYPE as METRICS_TEXT
from app.inference.metrics import Metrics
from app.traffic.routing_hints import routing_hints
from app.wire.body import read_body

if TYPE_CHECKING:
    from app.api.service_state import ServiceState
    from app.inference.predict import PredictService

ENDPOINTS = {
    "POST /predict": "predictions for one row of features, or for a batch",
    "GET /health": "200 while the process runs",
    "GET /ready": "200 while both models are available, else 503 and the reason",
    "GET /config": "weights, models, features, ranges, classes",
    "POST /feedback": "the true class of a prediction",
    "GET /drift": "recent rows and predictions compared with the training rows",
    "GET /experiment": "v1 compared with v2: figures of both, and a verdict that is valid at any time",
    "GET /predictions": "the latest predictions, newest first",
    "GET /metrics": "Prometheus text",
    "GET /openapi.json": "the OpenAPI document",
    "GET /docs": "an interactive page",
}


def api(service: PredictService, state: ServiceState, metrics: Metrics) -> Blueprint:
    """Return GET /, /health, /ready, /config, /metrics and POST /predict."""
    blueprint = Blueprint("api", __name__)

    @blueprint.get("/")
    def _index() -> Response:
        return json_response({"service": "flask-api", "endpoints": ENDPOINTS})

    @blueprint.post("/predict")
    def _predict() -> Response:
        try:
            answer = service.answer(read_body(request.environ), routing_hints(request.headers.get))
        except InvalidRequestError as error:
            answer = service.refuse(error)
        return Response(answer.body, answer.status, content_type=answer.content_type)

    @blueprint.get("/health")
    def _health() -> Response:
        return json_response({"status": "alive", "service_digest": state.service_digest})

    @blueprint.get("/ready")
    def _ready() -> Response:
        view = state.readiness()
        ready = view.status == "ready"
        return json_response(view, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    @blueprint.get("/config")
    def _config() -> Response:
        return json_response(state.config())

    @blueprint.get("/metrics")
    def _metrics() -> Response:
        return Response(metrics.render(), content_type=METRICS_TEXT)

    return blueprint

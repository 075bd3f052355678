"""The OpenAPI 3.1 document of the API, with the features of the active models. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.drift.monitor import DriftReport
from app.experiment.experiment import Experiment
from app.experiment.prediction_log import MOST_SHOWN, FeedbackView, LoggedPredictions
from app.manifest import VERSIONS
from app.wire.schemas import ConfigView, Predictions, Problem, ReadyView

if TYPE_CHECKING:
    from app.manifest import FeatureSpec

Schema = dict[str, object]
_COMPONENTS = "#/components/schemas/"
_NAME = "^[!-~]([ -~]*[!-~])?$"
_FEEDBACK: Schema = {
    "prediction_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "label": {"type": "string"},
}
_KEY: list[Schema] = [{"bearer": []}, {"header": []}, {}]


def document(features: list[FeatureSpec], max_rows: int) -> Schema:
    """Return the document. features: of the active models, none without models; max_rows: most rows of a batch."""
    shapes = (Predictions, ConfigView, ReadyView, DriftReport, Experiment, LoggedPredictions, FeedbackView)
    views, components = msgspec.json.schema_components(
        [*shapes, Problem], ref_template=_COMPONENTS + "{name}"
    )
    predictions, config, ready, drift, experiment, logged, taken, _ = views
    single = {"$ref": _COMPONENTS + "Prediction"}
    row = _row(features)
    request: Schema = {
        "oneOf": [
            _object({"features": row}),
            _object({"instances": {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}}),
        ]
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "onebox prediction API", "version": "1"},
        "paths": {
            "/predict": {
                "post": {
                    "summary": "A prediction for one row, or for each row of a batch",
                    "operationId": "predict",
                    "security": _KEY,
                    "parameters": _headers(),
                    "requestBody": _body(request),
                    "responses": _answers(
                        {"oneOf": [single, predictions]}, 400, 401, 413, 415, 422, 429, 500, 503
                    ),
                }
            },
            "/health": {"get": _get("200 while the process runs", {"type": "object"})},
            "/ready": {
                "get": _get(
                    "200 while both models are available, else 503 and the reason", ready, unready=ready
                )
            },
            "/metrics": {"get": _metrics()},
            "/drift": {"get": _get("Recent rows and predictions compared with the training rows", drift)},
            "/experiment": {
                "get": {
                    "summary": "v1 compared with v2: figures of both, and a verdict that is valid at any time",
                    "responses": _answers(experiment, 503),
                }
            },
            "/predictions": {
                "get": {
                    "summary": "The latest predictions, newest first",
                    "parameters": [_limit()],
                    "responses": _answers(logged, 422, 503),
                }
            },
            "/feedback": {
                "post": {
                    "summary": "The true class of a prediction; idempotent",
                    "operationId": "feedback",
                    "security": _KEY,
                    "requestBody": _body(_object(_FEEDBACK)),
                    "responses": _answers(taken, 400, 401, 404, 413, 415, 422, 429, 503),
                }
            },
            "/config": {
                "get": _get("Weights, models, features, ranges, classes", config),
                "put": {
                    "summary": "Change the split for all workers and over restarts; needs an admin key",
                    "operationId": "setSplit",
                    "security": _KEY[:2],
                    "requestBody": _body(_object({"weights": {"anyOf": [_weights(), {"type": "null"}]}})),
                    "responses": _answers(config, 400, 401, 403, 413, 415, 422, 429),
                },
            },
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _row(features: list[FeatureSpec]) -> Schema:
    if not features:
        return {"type": "array"}
    ranges = [
        {"type": "number", "minimum": feature.accept_min, "maximum": feature.accept_max}
        for feature in features
    ]
    in_order = {
        "type": "array",
        "prefixItems": ranges,
        "items": False,
        "minItems": len(ranges),
        "maxItems": len(ranges),
        "description": ", ".join(feature.name for feature in features),
    }
    by_name = _object({feature.name: limits for feature, limits in zip(features, ranges, strict=True)})
    return {"oneOf": [in_order, by_name]}


def _weights() -> Schema:
    share = {"type": "integer", "minimum": 0, "maximum": 100}
    all_zero = {"properties": {version: {"const": 0} for version in VERSIONS}}
    return _object(dict.fromkeys(VERSIONS, share)) | {"not": all_zero}


def _headers() -> list[Schema]:
    found = {
        "X-User-Id": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": _NAME},
        "X-Model-Version": {"type": "string", "enum": list(VERSIONS)},
        "X-Synthetic": {"type": "string", "enum": ["0", "1", "true", "false"]},
    }
    return [{"name": name, "in": "header", "schema": schema} for name, schema in found.items()]


def _limit() -> Schema:
    return {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_SHOWN},
    }


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, schema: Schema, *, unready: Schema | None = None) -> Schema:
    answers = _answers(schema)
    if unready is not None:
        answers["503"] = _answer("not ready", unready)
    return {"summary": summary, "responses": answers}


def _metrics() -> Schema:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "summary": "Prometheus text",
        "responses": {"200": {"description": "what was counted", "content": text}},
    }


def _answers(schema: Schema, *problems: int) -> Schema:
    found: Schema = {"200": _answer("the answer", schema)}
    problem = {"application/problem+json": {"schema": {"$ref": _COMPONENTS + "Problem"}}}
    return found | {str(status): {"description": "why not", "content": problem} for status in problems}


def _answer(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}

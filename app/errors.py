"""Errors of the API.

ApiError
├── SettingsError       an environment variable has no usable value
├── ServerError         the process cannot start to serve: port taken, state directory in use
├── ArtifactsError      manifest or reference cannot be used, so no model is loaded
├── ModelRefusedError        one model file cannot be used: missing, changed, of another shape
├── InvalidRequestError      an invalid request, 4xx; does not count as a prediction
├── UnknownPredictionError   feedback for a prediction that is not in the log
└── PredictionFailedError    a valid request without an answer, 5xx
    ├── ModelFailedError     a loaded model raised, or its output is invalid
    └── NoModelError         no model version with a weight above 0 is loaded
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Reason = Literal[
    "empty_body",
    "malformed_json",
    "bad_encoding",
    "duplicate_key",
    "too_deep",
    "content_type",
    "too_large",
    "truncated",
    "wrong_shape",
    "unknown_field",
    "missing_field",
    "wrong_count",
    "wrong_type",
    "not_finite",
    "out_of_range",
    "unknown_label",
    "bad_header",
    "unauthorized",
    "rate_limited",
    "untrusted_host",
]


class ApiError(Exception):
    """Root of the tree. `hint`: what to do next, "" where the message is enough."""

    hint = ""


class SettingsError(ApiError):
    """An environment variable has no usable value."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.hint = f"Set {name} in the service's environment, or leave it out for its default."
        super().__init__(message)


class ServerError(ApiError):
    """The process cannot start to serve."""

    def __init__(self, message: str, *, hint: str) -> None:
        self.hint = hint
        super().__init__(message)


class ArtifactsError(ApiError):
    """The manifest, or its reference, cannot be used."""

    hint = "Run `python app/train_model.py`; it writes models, reference and manifest that fit together."

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"{path.name} {why}")


class ModelRefusedError(ApiError):
    """One model file cannot be used. The other model is not affected."""

    hint = "Run `python app/train_model.py`, or restore the file that the manifest names."

    def __init__(self, version: str, file: str, why: str) -> None:
        self.version = version
        self.file = file
        self.why = why
        super().__init__(f"{file} {why}")


class InvalidRequestError(ApiError):
    """An invalid request; `field` names the wrong field, where one is."""

    def __init__(self, status: int, reason: Reason, detail: str, field: str | None = None) -> None:
        self.status = status
        self.reason: Reason = reason
        self.detail = detail
        self.field = field
        super().__init__(detail)


class UnknownPredictionError(ApiError):
    """The prediction does not exist, or its record has been deleted."""

    hint = "Send the prediction_id of a response; predictions are kept for a limited time."

    def __init__(self, prediction_id: str) -> None:
        self.prediction_id = prediction_id
        super().__init__(f"there is no prediction {prediction_id}")


class PredictionFailedError(ApiError):
    """A valid request without an answer."""

    status = 500


class ModelFailedError(PredictionFailedError):
    """A loaded model raised, or its output is invalid."""

    def __init__(self, version: str, why: str) -> None:
        self.version = version
        self.why = why
        super().__init__(f"model {version} could not score this row")


class NoModelError(PredictionFailedError):
    """No model version with a weight above 0 is loaded."""

    status = 503

    def __init__(self, why: str) -> None:
        self.why = why
        self.hint = "GET /ready names the unavailable model and the reason."
        super().__init__(why)

"""What can go wrong in the API.

ApiError
├── SettingsError       an environment variable has no usable value
├── ServerError         the process cannot start serving: port taken, state directory in use
├── ArtifactsError      manifest or reference cannot be used, so no model can
├── ModelRefusedError        one model file cannot be used: missing, changed, of another shape
├── InvalidRequestError      the client's fault, 4xx; never counts as a prediction
├── UnknownPredictionError   feedback on a prediction that is not in the log
└── PredictionFailedError    ours, 5xx
    ├── ModelFailedError     a loaded model raised, or answered nonsense
    └── NoModelError         no arm that may answer is loaded
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
    """Root of the tree. `hint` says what to do next, "" where the message says it all."""

    hint = ""


class SettingsError(ApiError):
    """An environment variable is set to something that cannot be served with."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.hint = f"Set {name} in the service's environment, or leave it out for its default."
        super().__init__(message)


class ServerError(ApiError):
    """The process cannot start serving."""

    def __init__(self, message: str, *, hint: str) -> None:
        self.hint = hint
        super().__init__(message)


class ArtifactsError(ApiError):
    """The manifest, or the reference it names, cannot be used."""

    hint = "Run `python app/train_model.py`; it writes models, reference and manifest that fit together."

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"{path.name} {why}")


class ModelRefusedError(ApiError):
    """One model file cannot be used. The other arm is not touched by it."""

    hint = "Run `python app/train_model.py`, or put back the file that the manifest names."

    def __init__(self, version: str, file: str, why: str) -> None:
        self.version = version
        self.file = file
        self.why = why
        super().__init__(f"{file} {why}")


class InvalidRequestError(ApiError):
    """The request cannot be answered as it stands; `field` names what is wrong in it, where one thing is."""

    def __init__(self, status: int, reason: Reason, detail: str, field: str | None = None) -> None:
        self.status = status
        self.reason: Reason = reason
        self.detail = detail
        self.field = field
        super().__init__(detail)


class UnknownPredictionError(ApiError):
    """There is no such prediction, or it is too old to be kept."""

    hint = "Send the prediction_id of an answer; predictions are kept for a limited time."

    def __init__(self, prediction_id: str) -> None:
        self.prediction_id = prediction_id
        super().__init__(f"there is no prediction {prediction_id}")


class PredictionFailedError(ApiError):
    """A well-formed request that we could not answer."""

    status = 500


class ModelFailedError(PredictionFailedError):
    """A loaded model raised, or gave an answer that is none."""

    def __init__(self, version: str, why: str) -> None:
        self.version = version
        self.why = why
        super().__init__(f"model {version} could not score this row")


class NoModelError(PredictionFailedError):
    """No arm that the weights allow to answer is loaded."""

    status = 503

    def __init__(self, why: str) -> None:
        self.why = why
        self.hint = "GET /ready says which model is off and why."
        super().__init__(why)

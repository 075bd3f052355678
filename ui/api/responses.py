"""The API's JSON responses as typed values. Pure.

Unknown fields are ignored, so that an older UI can read the responses of a newer API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ui.api.fields import ResponseError, flag, mapping, number, numbers, optional_text, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Feature:
    """One input: its range and mean in the training data."""

    name: str
    min: float
    max: float
    mean: float


@dataclass(frozen=True)
class Arm:
    """One model of the A/B test. `reason` tells why it is unavailable; what is unknown then is None or empty."""

    up: bool
    sha256: str | None
    algorithm: str | None
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    reason: str | None


@dataclass(frozen=True)
class DriftSettings:
    """The latest `window` rows are compared; there is no score for fewer than `minimum` rows."""

    threshold: float
    window: int
    minimum: int


@dataclass(frozen=True)
class Config:
    """The response of GET /config: arms by version, with weights as configured and as shares of 1.

    An API without any model has no features and no classes, and gives the cause in `reason`.
    """

    weights: Mapping[str, float]
    split: Mapping[str, float]
    models: Mapping[str, Arm]
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    service_digest: str
    drift: DriftSettings
    reason: str | None

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the typed response. Raises ResponseError, which names the first field that does not fit."""
        body = mapping(value, "config")
        drift = mapping(body.get("drift"), "drift")
        return cls(
            weights=numbers(body, "weights"),
            split=numbers(body, "split"),
            models={
                version: _arm(arm, f"models.{version}")
                for version, arm in mapping(body.get("models"), "models").items()
            },
            features=tuple(
                _feature(item, f"features[{i}]") for i, item in enumerate(sequence(body, "features"))
            ),
            classes=tuple(str(name) for name in sequence(body, "classes")),
            service_digest=text(body, "service_digest"),
            drift=DriftSettings(
                threshold=number(drift, "threshold", "drift."),
                window=int(number(drift, "window", "drift.")),
                minimum=int(number(drift, "minimum", "drift.")),
            ),
            reason=optional_text(body, "reason"),
        )


@dataclass(frozen=True)
class Prediction:
    """The response of POST /predict; `probabilities` by class name, each 0 to 1."""

    class_name: str
    probabilities: Mapping[str, float]
    model_version: str
    prediction_id: str
    reason: str

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the typed response. Raises ResponseError, which names the first field that does not fit."""
        body = mapping(value, "prediction")
        return cls(
            class_name=text(body, "class"),
            probabilities=numbers(body, "probabilities"),
            model_version=text(body, "model_version"),
            prediction_id=text(body, "prediction_id"),
            reason=text(body, "reason"),
        )


@dataclass(frozen=True)
class Problem:
    """An error response (RFC 9457), as far as it could be read."""

    detail: str
    field: str | None

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        """Return the problem, or None for another body (a proxy's page, for example)."""
        if not isinstance(value, dict):
            return None
        detail = value.get("detail") or value.get("title")
        field = value.get("field")
        if not isinstance(detail, str):
            return None
        return cls(detail=detail, field=field if isinstance(field, str) else None)


def _feature(value: object, path: str) -> Feature:
    item = mapping(value, path)
    low, high = number(item, "min", f"{path}."), number(item, "max", f"{path}.")
    if low > high:
        raise ResponseError(f"{path}.min", "at most its max")
    mean = min(max(number(item, "mean", f"{path}."), low), high)
    return Feature(name=text(item, "name", f"{path}."), min=low, max=high, mean=mean)


def _arm(value: object, path: str) -> Arm:
    arm = mapping(value, path)
    return Arm(
        up=flag(arm, "up", f"{path}."),
        sha256=optional_text(arm, "sha256", f"{path}."),
        algorithm=optional_text(arm, "algorithm", f"{path}."),
        params=mapping(arm.get("params") or {}, f"{path}.params"),
        metrics=mapping(arm.get("metrics") or {}, f"{path}.metrics"),
        reason=optional_text(arm, "reason", f"{path}."),
    )

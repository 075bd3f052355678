"""Typed responses of the API. Pure.

Unknown fields are ignored, so that an older UI works with a newer API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ui.api.fields import AnswerError, flag, mapping, number, numbers, optional_text, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Feature:
    """One input feature: its range and spread in the training data."""

    name: str
    min: float
    max: float
    mean: float


@dataclass(frozen=True)
class Arm:
    """One model of the A/B split. `reason` tells why it is unavailable; unknown fields are then None or empty."""

    up: bool
    sha256: str | None
    algorithm: str | None
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    reason: str | None


@dataclass(frozen=True)
class DriftSettings:
    """Number of rows: `window` is compared; below `minimum` there is no score."""

    threshold: float
    window: int
    minimum: int


@dataclass(frozen=True)
class Config:
    """Response of GET /config: arms by version, with configured weights and shares of 1.

    An API without any model has no features and no classes, and `reason` tells why.
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
        """Return the typed response. Raise AnswerError naming the first invalid field."""
        answer = mapping(value, "config")
        drift = mapping(answer.get("drift"), "drift")
        return cls(
            weights=numbers(answer, "weights"),
            split=numbers(answer, "split"),
            models={
                version: _arm(arm, f"models.{version}")
                for version, arm in mapping(answer.get("models"), "models").items()
            },
            features=tuple(
                _feature(item, f"features[{i}]") for i, item in enumerate(sequence(answer, "features"))
            ),
            classes=tuple(str(name) for name in sequence(answer, "classes")),
            service_digest=text(answer, "service_digest"),
            drift=DriftSettings(
                threshold=number(drift, "threshold", "drift."),
                window=int(number(drift, "window", "drift.")),
                minimum=int(number(drift, "minimum", "drift.")),
            ),
            reason=optional_text(answer, "reason"),
        )


@dataclass(frozen=True)
class Prediction:
    """Response of POST /predict; `probabilities` by class name, each 0 to 1."""

    class_name: str
    probabilities: Mapping[str, float]
    model_version: str
    prediction_id: str
    reason: str

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the typed response. Raise AnswerError naming the first invalid field."""
        answer = mapping(value, "prediction")
        return cls(
            class_name=text(answer, "class"),
            probabilities=numbers(answer, "probabilities"),
            model_version=text(answer, "model_version"),
            prediction_id=text(answer, "prediction_id"),
            reason=text(answer, "reason"),
        )


@dataclass(frozen=True)
class Problem:
    """Problem document (RFC 9457), as far as it could be read."""

    detail: str
    field: str | None

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        """Return the problem, or None if the body is not one (a proxy's page, for example)."""
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
        raise AnswerError(f"{path}.min", "at most its max")
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

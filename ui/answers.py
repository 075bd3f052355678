"""The API's JSON answers as typed values. Pure.

Fields this version does not know are left out, so that a newer API can answer an older UI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class AnswerError(ValueError):
    """A field of an answer is missing or of another type; `field` names it with its path."""

    def __init__(self, field: str, wanted: str) -> None:
        self.field = field
        super().__init__(f"{field} should be {wanted}")


@dataclass(frozen=True)
class Feature:
    """One input: its range and spread in the training data."""

    name: str
    min: float
    max: float
    mean: float


@dataclass(frozen=True)
class Arm:
    """One model of the A/B split. `reason` says why it is off; what is unknown then is None or empty."""

    up: bool
    sha256: str | None
    algorithm: str | None
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    reason: str | None


@dataclass(frozen=True)
class DriftSettings:
    """`window` latest rows are compared, no score is published on fewer than `minimum`."""

    threshold: float
    window: int
    minimum: int


@dataclass(frozen=True)
class Config:
    """What GET /config answers: arms by version, with weights as configured and as shares of 1.

    An API that found no models at all has no features and no classes, and says why in `reason`.
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
        """The typed answer. Raises AnswerError naming the first field that does not fit."""
        answer = _mapping(value, "config")
        drift = _mapping(answer.get("drift"), "drift")
        return cls(
            weights=_numbers(answer, "weights"),
            split=_numbers(answer, "split"),
            models={
                version: _arm(arm, f"models.{version}")
                for version, arm in _mapping(answer.get("models"), "models").items()
            },
            features=tuple(
                _feature(item, f"features[{i}]") for i, item in enumerate(_list(answer, "features"))
            ),
            classes=tuple(str(name) for name in _list(answer, "classes")),
            service_digest=_text(answer, "service_digest"),
            drift=DriftSettings(
                threshold=_number(drift, "threshold", "drift."),
                window=int(_number(drift, "window", "drift.")),
                minimum=int(_number(drift, "minimum", "drift.")),
            ),
            reason=_optional_text(answer, "reason"),
        )


@dataclass(frozen=True)
class Prediction:
    """What POST /predict answers; `probabilities` by class name, each 0 to 1."""

    class_name: str
    probabilities: Mapping[str, float]
    model_version: str
    prediction_id: str
    reason: str

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The typed answer. Raises AnswerError naming the first field that does not fit."""
        answer = _mapping(value, "prediction")
        return cls(
            class_name=_text(answer, "class"),
            probabilities=_numbers(answer, "probabilities"),
            model_version=_text(answer, "model_version"),
            prediction_id=_text(answer, "prediction_id"),
            reason=_text(answer, "reason"),
        )


@dataclass(frozen=True)
class Problem:
    """An error answer (RFC 9457), as far as it could be read."""

    detail: str
    field: str | None

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        """The problem, or None where the body is none (a proxy's page, for example)."""
        if not isinstance(value, dict):
            return None
        detail = value.get("detail") or value.get("title")
        field = value.get("field")
        if not isinstance(detail, str):
            return None
        return cls(detail=detail, field=field if isinstance(field, str) else None)


def _feature(value: object, path: str) -> Feature:
    item = _mapping(value, path)
    low, high = _number(item, "min", f"{path}."), _number(item, "max", f"{path}.")
    if low > high:
        raise AnswerError(f"{path}.min", "at most its max")
    mean = min(max(_number(item, "mean", f"{path}."), low), high)
    return Feature(name=_text(item, "name", f"{path}."), min=low, max=high, mean=mean)


def _arm(value: object, path: str) -> Arm:
    arm = _mapping(value, path)
    up = arm.get("up")
    if not isinstance(up, bool):
        raise AnswerError(f"{path}.up", "true or false")
    return Arm(
        up=up,
        sha256=_optional_text(arm, "sha256", f"{path}."),
        algorithm=_optional_text(arm, "algorithm", f"{path}."),
        params=_mapping(arm.get("params") or {}, f"{path}.params"),
        metrics=_mapping(arm.get("metrics") or {}, f"{path}.metrics"),
        reason=_optional_text(arm, "reason", f"{path}."),
    )


def _mapping(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AnswerError(path, "an object")
    return value


def _list(answer: Mapping[str, Any], name: str) -> list[Any]:
    value = answer.get(name)
    if not isinstance(value, list):
        raise AnswerError(name, "a list")
    return value


def _text(answer: Mapping[str, Any], name: str, prefix: str = "") -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise AnswerError(prefix + name, "a text")
    return value


def _optional_text(answer: Mapping[str, Any], name: str, prefix: str = "") -> str | None:
    return None if answer.get(name) is None else _text(answer, name, prefix)


def _number(answer: Mapping[str, Any], name: str, prefix: str = "") -> float:
    value = answer.get(name)
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise AnswerError(prefix + name, "a finite number")
    return number


def _numbers(answer: Mapping[str, Any], name: str) -> Mapping[str, float]:
    values = _mapping(answer.get(name), name)
    return {key: _number(values, key, f"{name}.") for key in values}

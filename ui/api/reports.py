"""Typed reports of the API: drift, experiment, prediction log. Pure.

Unknown fields are ignored, so that an older UI works with a newer API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ui.api.fields import (
    flag,
    mapping,
    number,
    numbers,
    optional_number,
    optional_text,
    sequence,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Distance:
    """Distance of one quantity from training, and its limit; `now` and `training` are the compared values if they are
    single numbers."""

    name: str
    distance: float
    limit: float
    drifted: bool
    now: float | None
    training: float | None

    @property
    def ratio(self) -> float:
        """Return the distance divided by its limit; above 1 is drift."""
        return self.distance / self.limit if self.limit else 0.0


@dataclass(frozen=True)
class Drift:
    """Response of GET /drift."""

    status: str
    rows: int
    minimum: int
    window: int
    score: float | None
    false_alarm_rate: float | None
    features: tuple[Distance, ...]
    classes: tuple[Distance, ...]
    joint: Distance | None

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the typed response. Raise AnswerError naming the first invalid field."""
        answer = mapping(value, "drift")
        joint = answer.get("joint")
        return cls(
            status=text(answer, "status"),
            rows=int(number(answer, "rows")),
            minimum=int(number(answer, "minimum")),
            window=int(number(answer, "window")),
            score=optional_number(answer, "score"),
            false_alarm_rate=optional_number(answer, "false_alarm_rate"),
            features=_distances(answer, "features", "mean", "training_mean"),
            classes=_distances(answer, "classes", "share", "expected_share"),
            joint=None if joint is None else _distance(mapping(joint, "joint"), "joint", None, None),
        )


@dataclass(frozen=True)
class ArmFigures:
    """Statistics of the requests that one version answered; latencies in seconds, None before the first."""

    answered: int
    errors: int
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None


@dataclass(frozen=True)
class Labels:
    """Labelled rows by the model that was right."""

    both_right: int
    only_v1: int
    only_v2: int
    both_wrong: int


@dataclass(frozen=True)
class ExperimentReport:
    """Response of GET /experiment."""

    verdict: str
    reason: str
    since: str | None
    arms: Mapping[str, ArmFigures]
    compared: int
    disagreement_rate: float | None
    labelled: Labels
    labelled_after: Mapping[str, Labels]
    evidence: Mapping[str, float]
    needed: float
    ratio_checked: int
    ratio_broken: bool

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the typed response. Raise AnswerError naming the first invalid field."""
        answer = mapping(value, "experiment")
        superiority = mapping(answer.get("superiority"), "superiority")
        ratio = mapping(answer.get("sample_ratio"), "sample_ratio")
        return cls(
            verdict=text(answer, "verdict"),
            reason=text(answer, "reason"),
            since=optional_text(answer, "since"),
            arms={
                version: _arm(mapping(arm, f"arms.{version}"), f"arms.{version}.")
                for version, arm in mapping(answer.get("arms"), "arms").items()
            },
            compared=int(number(answer, "compared")),
            disagreement_rate=optional_number(answer, "disagreement_rate"),
            labelled=_labels(mapping(answer.get("labelled"), "labelled"), "labelled."),
            labelled_after={
                version: _labels(mapping(labels, "labelled_after"), f"labelled_after.{version}.")
                for version, labels in mapping(answer.get("labelled_after"), "labelled_after").items()
            },
            evidence={
                version: number(superiority, f"evidence_{version}", "superiority.")
                for version in ("v1", "v2")
            },
            needed=number(superiority, "needed", "superiority."),
            ratio_checked=int(number(ratio, "checked", "sample_ratio.")),
            ratio_broken=flag(ratio, "broken", "sample_ratio."),
        )


@dataclass(frozen=True)
class Logged:
    """One answered row of GET /predictions. `class_name` is None if the model failed on it."""

    prediction_id: str
    time: str
    model_version: str
    reason: str
    synthetic: bool
    latency: float
    class_name: str | None
    other_class: str | None
    label: str | None
    features: Mapping[str, float]

    @property
    def disputed(self) -> bool:
        """Return whether the two models disagree and the row has no label."""
        return (
            not self.synthetic
            and self.label is None
            and None not in (self.class_name, self.other_class)
            and self.class_name != self.other_class
        )

    @classmethod
    def from_json(cls, value: object) -> tuple[Self, ...]:
        """Return the typed rows, newest first. Raise AnswerError naming the first invalid field."""
        rows = sequence(mapping(value, "answer"), "predictions")
        return tuple(
            cls._one(mapping(row, f"predictions[{i}]"), f"predictions[{i}].") for i, row in enumerate(rows)
        )

    @classmethod
    def _one(cls, row: Mapping[str, Any], prefix: str) -> Self:
        return cls(
            prediction_id=text(row, "prediction_id", prefix),
            time=text(row, "time", prefix),
            model_version=text(row, "model_version", prefix),
            reason=text(row, "reason", prefix),
            synthetic=flag(row, "synthetic", prefix),
            latency=number(row, "latency_seconds", prefix),
            class_name=optional_text(row, "class", prefix),
            other_class=optional_text(row, "other_class", prefix),
            label=optional_text(row, "label", prefix),
            features=numbers(row, "features"),
        )


def _distances(answer: Mapping[str, Any], name: str, now: str, training: str) -> tuple[Distance, ...]:
    return tuple(
        _distance(mapping(item, f"{name}[{i}]"), f"{name}[{i}]", now, training)
        for i, item in enumerate(sequence(answer, name))
    )


def _distance(item: Mapping[str, Any], path: str, now: str | None, training: str | None) -> Distance:
    prefix = f"{path}."
    return Distance(
        name=text(item, "name", prefix) if now else path,
        distance=number(item, "distance", prefix),
        limit=number(item, "limit", prefix),
        drifted=flag(item, "drifted", prefix),
        now=number(item, now, prefix) if now else None,
        training=number(item, training, prefix) if training else None,
    )


def _arm(arm: Mapping[str, Any], prefix: str) -> ArmFigures:
    return ArmFigures(
        answered=int(number(arm, "answered", prefix)),
        errors=int(number(arm, "errors", prefix)),
        latency_p50=optional_number(arm, "latency_p50", prefix),
        latency_p95=optional_number(arm, "latency_p95", prefix),
        latency_p99=optional_number(arm, "latency_p99", prefix),
    )


def _labels(labels: Mapping[str, Any], prefix: str) -> Labels:
    return Labels(
        both_right=int(number(labels, "both_right", prefix)),
        only_v1=int(number(labels, "only_v1", prefix)),
        only_v2=int(number(labels, "only_v2", prefix)),
        both_wrong=int(number(labels, "both_wrong", prefix)),
    )

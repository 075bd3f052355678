"""Drift of the latest predictions, for Prometheus and GET /drift. Computed on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from prometheus_client.core import GaugeMetricFamily

from app.drift import score as drift
from app.drift.detector import DRIFTED, WARMING_UP, Detector, Verdict
from app.manifest import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from app.drift.detector import Finding
    from app.manifest import Catalogue
    from app.shm.ring_buffer import Records

UNAVAILABLE = "unavailable"
_TEXT = "Distance of {} from training, divided by its limit; above 1 is drift."


class FeatureDrift(msgspec.Struct, frozen=True):
    """A feature: distance of its recent values from the training rows, means and standard deviations."""

    name: str
    distance: float
    limit: float
    drifted: bool
    mean: float
    training_mean: float
    std: float
    training_std: float


class ClassDrift(msgspec.Struct, frozen=True):
    """A class: its share of recent predictions, and of the same models' predictions for training rows."""

    name: str
    distance: float
    limit: float
    drifted: bool
    share: float
    expected_share: float


class JointDrift(msgspec.Struct, frozen=True):
    """Distance of the features' correlations from those in the training rows."""

    distance: float
    limit: float
    drifted: bool


class DriftReport(msgspec.Struct, frozen=True):
    """Response body of GET /drift."""

    status: str
    """`warming_up`, `steady`, `drifted`; `unavailable` when no models could be read."""
    rows: int
    minimum: int
    """Fewest rows for a verdict."""
    window: int
    """Most rows of the window, which holds the latest ones without synthetic ones."""
    score: float | None
    """model_drift_score, 0 to 1; null on few rows. The verdict does not depend on it."""
    score_threshold: float
    false_alarm_rate: float | None
    """Share of windows without drift that the test calls drifted, as calibrated in training."""
    features: list[FeatureDrift]
    classes: list[ClassDrift]
    joint: JointDrift | None


class DriftMonitor:
    """The drift monitor of one manifest. Every worker has one; each sees the rows of all workers."""

    def __init__(self, catalogue: Catalogue, recent: Callable[[], Records]) -> None:
        """recent: returns the latest rows of all workers without synthetic ones, `app.drift.score.WINDOW` at most."""
        self._catalogue = catalogue
        self._recent = recent
        self._detector = Detector(catalogue)
        self._latest: _Window | None = None

    def report(self) -> DriftReport:
        """Return the body of GET /drift."""
        window = self._current()
        verdict = window.verdict
        return DriftReport(
            status=verdict.status,
            rows=verdict.rows,
            minimum=self._detector.minimum,
            window=drift.WINDOW,
            score=window.score,
            score_threshold=drift.THRESHOLD,
            false_alarm_rate=self._catalogue.manifest.drift.alpha,
            features=self._features(window),
            classes=self._classes(window),
            joint=_joint(verdict.joint),
        )

    def gauges(self) -> Iterator[Metric]:
        """Yield the drift as Prometheus families; figures that the window is too short for have no value."""
        window = self._current()
        verdict = window.verdict
        score = GaugeMetricFamily(
            "model_drift_score", f"Drift of recent inputs, 0 to 1; shown from {drift.MINIMUM} rows on."
        )
        if window.score is not None:
            score.add_metric([], window.score)
        yield score
        yield GaugeMetricFamily("model_drift_window_rows", "Rows in the drift window.", value=verdict.rows)
        yield GaugeMetricFamily(
            "model_drift_warming_up",
            "1 while the window is too short for the drift test.",
            value=float(verdict.status == WARMING_UP),
        )
        yield GaugeMetricFamily(
            "model_drift_detected",
            "1 while the drift test finds any feature, class or correlation beyond its limit.",
            value=float(verdict.status == DRIFTED),
        )
        yield _ratios(
            "model_feature_drift_ratio",
            "Distance of a feature divided by its limit.",
            "feature",
            verdict.features,
        )
        yield _ratios(
            "model_class_drift_ratio",
            "Distance of a class divided by its limit.",
            "class_name",
            verdict.classes,
        )
        joint = GaugeMetricFamily(
            "model_joint_drift_ratio",
            _TEXT.format("the features' correlations"),
        )
        if verdict.joint:
            joint.add_metric([], verdict.joint.ratio)
        yield joint

    def _current(self) -> _Window:
        records = self._recent()
        # Without new rows the last result is still right.
        latest = self._latest
        if latest is None or not np.array_equal(latest.records["prediction_id"], records["prediction_id"]):
            latest = self._latest = _Window(records, self._verdict(records), self._score(records))
        return latest

    def _verdict(self, records: Records) -> Verdict:
        versions = [VERSIONS[arm] for arm in records["arm"]]
        return self._detector.test(records["features"], records["class_index"].tolist(), versions)

    def _score(self, records: Records) -> float | None:
        features = self._catalogue.reference.features
        rows = records["features"].astype(np.float64)
        return drift.drift_score(rows, [item.mean for item in features], [item.std for item in features])

    def _features(self, window: _Window) -> list[FeatureDrift]:
        if not window.verdict.features:
            return []
        rows = window.records["features"].astype(np.float64)
        return [
            FeatureDrift(
                name=finding.name,
                distance=_digits(finding.distance),
                limit=finding.limit,
                drifted=finding.drifted,
                mean=_digits(mean),
                training_mean=reference.mean,
                std=_digits(std),
                training_std=reference.std,
            )
            for finding, mean, std, reference in zip(
                window.verdict.features,
                rows.mean(axis=0),
                rows.std(axis=0),
                self._catalogue.reference.features,
                strict=True,
            )
        ]

    def _classes(self, window: _Window) -> list[ClassDrift]:
        verdict = window.verdict
        return [
            ClassDrift(
                name=finding.name,
                distance=_digits(finding.distance),
                limit=finding.limit,
                drifted=finding.drifted,
                share=_digits(share),
                expected_share=_digits(expected),
            )
            for finding, share, expected in zip(
                verdict.classes, verdict.shares, verdict.expected_shares, strict=True
            )
        ]


@dataclass(frozen=True)
class _Window:
    records: Records
    verdict: Verdict
    score: float | None


def no_report() -> DriftReport:
    """Return the body of GET /drift without models."""
    return DriftReport(UNAVAILABLE, 0, 0, drift.WINDOW, None, drift.THRESHOLD, None, [], [], None)


def no_gauges() -> Iterator[Metric]:
    """Yield the drift families of GET /metrics without models."""
    yield GaugeMetricFamily("model_drift_window_rows", "Rows in the drift window.", value=0)


def _ratios(name: str, of: str, label: str, findings: tuple[Finding, ...]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, _TEXT.format(of), labels=[label])
    for finding in findings:
        family.add_metric([finding.name], finding.ratio)
    return family


def _joint(finding: Finding | None) -> JointDrift | None:
    return JointDrift(_digits(finding.distance), finding.limit, finding.drifted) if finding else None


def _digits(value: float) -> float:
    return float(f"{value:.6g}")

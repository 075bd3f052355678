"""The prediction log as a worker uses it: record labels, return the latest predictions and the experiment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from app.errors import InvalidRequestError, UnknownPredictionError
from app.experiment.aggregates import latency_quantile
from app.experiment.experiment import ArmCounts, Assigned, Experiment, Labelled, Observations, judge
from app.experiment.log_store import opened, transaction
from app.manifest import VERSIONS
from app.shm.ring_buffer import FAILED, REASONS, recent

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from app.inference.model_bundle import ModelBundle

MOST_SHOWN = 500
_ALL_OF_THE_RINGS = 1 << 30


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request body of POST /feedback: a prediction and its true class."""

    prediction_id: str
    label: str


class FeedbackView(msgspec.Struct, frozen=True):
    """Response body of POST /feedback."""

    prediction_id: str
    label: str
    recorded: str
    """`new`, `same` where the prediction had this label, `changed` where it had another."""


class LoggedPrediction(msgspec.Struct, frozen=True):
    """One prediction, as GET /predictions shows it."""

    prediction_id: str
    time: str
    model_version: str
    reason: str
    synthetic: bool
    latency_seconds: float
    class_name: str | None = msgspec.field(name="class")
    """null where the model failed on the row."""
    other_class: str | None
    """Prediction of the other model for the same row; null where there is none."""
    label: str | None
    features: dict[str, float]


class LoggedPredictions(msgspec.Struct, frozen=True):
    """Response body of GET /predictions, newest first."""

    predictions: list[LoggedPrediction]


class PredictionLog:
    """The log of one data directory. Opens the file for each call: calls are rare, and a file can be replaced."""

    def __init__(self, data_dir: Path, bundle: Callable[[], ModelBundle]) -> None:
        """bundle: returns the active models; their rings hold the predictions that the log does not have yet."""
        self._data_dir = data_dir
        self._bundle = bundle

    def feedback(self, given: Feedback) -> FeedbackView:
        """Record a label. Raise UnknownPredictionError, or InvalidRequestError for a malformed id or unknown label."""
        try:
            name = bytes.fromhex(given.prediction_id)
        except ValueError:
            name = b""
        if len(name) != 16 or given.prediction_id != name.hex():
            raise InvalidRequestError(
                422, "wrong_type", "prediction_id must be 32 hex digits, as in a response", "prediction_id"
            )
        with opened(self._data_dir) as log:
            classes = self._classes_of(log, name)
            if given.label not in classes:
                raise InvalidRequestError(
                    422, "unknown_label", f"label must be one of {_some(classes)}", "label"
                )
            label = classes.index(given.label)
            with transaction(log):
                before = log.execute("SELECT label FROM labels WHERE id = ?", (name,)).fetchone()
                if before is None or before[0] != label:
                    log.execute(
                        "INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", (name, label, time.time_ns())
                    )
        recorded = "new" if before is None else "same" if before[0] == label else "changed"
        return FeedbackView(given.prediction_id, given.label, recorded)

    def latest(self, count: int) -> LoggedPredictions:
        """Return the latest predictions, newest first, MOST_SHOWN at most."""
        with opened(self._data_dir) as log:
            rows = log.execute(
                "SELECT p.id, p.time_ns, p.arm, p.why, p.synthetic, p.latency, p.answer, p.other, l.label, p.features, "
                "m.features, m.classes FROM predictions p JOIN manifests m ON m.id = p.manifest "
                "LEFT JOIN labels l ON l.id = p.id ORDER BY p.n DESC LIMIT ?",
                (min(count, MOST_SHOWN),),
            ).fetchall()
        return LoggedPredictions([_logged(*row) for row in rows])

    def experiment(self) -> Experiment:
        """Return the experiment of the active models."""
        catalogue = self._bundle().models.catalogue
        if catalogue is None:
            return judge(Observations({}, 0, 0, {}, []))
        with opened(self._data_dir) as log:
            found = log.execute(
                "SELECT id, same_model, since_ns FROM manifests WHERE sha256 = ?", (catalogue.sha256,)
            ).fetchone()
            if found is None:
                return judge(Observations({}, 0, 0, {}, []))
            return judge(_observations(log, found[0], bool(found[1])), _utc(found[2]))

    def _classes_of(self, log: sqlite3.Connection, name: bytes) -> list[str]:
        found = log.execute(
            "SELECT m.classes FROM predictions p JOIN manifests m ON m.id = p.manifest WHERE p.id = ?",
            (name,),
        ).fetchone()
        if found:
            return msgspec.json.decode(found[0], type=list[str])
        # A label may come before the recorder has read the ring.
        bundle = self._bundle()
        if bundle.models.catalogue is not None:
            features = len(bundle.models.catalogue.manifest.features)
            answered = recent(bundle.ring_dir, features, _ALL_OF_THE_RINGS, synthetic=True)
            if np.any(answered["prediction_id"] == np.void(name)):
                return bundle.classes
        raise UnknownPredictionError(name.hex())


def _observations(log: sqlite3.Connection, manifest: int, same_model: bool) -> Observations:
    latencies: dict[int, dict[int, int]] = {}
    for arm, bucket, count in log.execute(
        "SELECT arm, bucket, count FROM latencies WHERE manifest = ?", (manifest,)
    ):
        latencies.setdefault(arm, {})[bucket] = count
    arms = {version: ArmCounts(0, 0, None, None, None) for version in VERSIONS}
    compared = disagreed = 0
    for arm, answered, errors, both, differ in log.execute(
        "SELECT arm, answered, errors, compared, disagreed FROM arms WHERE manifest = ?", (manifest,)
    ):
        counts = latencies.get(arm, {})
        quantiles = (latency_quantile(counts, share) for share in (0.5, 0.95, 0.99))
        arms[VERSIONS[arm]] = ArmCounts(answered, errors, *quantiles)
        compared, disagreed = compared + both, disagreed + differ
    return Observations(
        arms=arms,
        compared=compared,
        disagreed=disagreed,
        labelled=_labelled(log, manifest),
        assigned=[
            Assigned((first, second), (one / (one + two), two / (one + two)))
            for one, two, first, second in log.execute(
                "SELECT first_weight, second_weight, first, second FROM assigned WHERE manifest = ?",
                (manifest,),
            )
        ],
        same_model=same_model,
    )


def _labelled(log: sqlite3.Connection, manifest: int) -> dict[str, Labelled]:
    result = {version: Labelled() for version in VERSIONS}
    rows = log.execute(
        "SELECT p.arm, sum(right AND other_right), sum(right AND NOT other_right), sum(other_right AND NOT right), "
        "sum(NOT right AND NOT other_right) FROM (SELECT p.arm, p.answer = l.label AS right, "
        "p.other = l.label AS other_right FROM labels l JOIN predictions p ON p.id = l.id "
        "WHERE p.manifest = ? AND NOT p.synthetic AND p.other IS NOT NULL) p GROUP BY p.arm",
        (manifest,),
    )
    for arm, both, served_alone, other_alone, neither in rows:
        alone = (served_alone, other_alone) if arm == 0 else (other_alone, served_alone)
        result[VERSIONS[arm]] = Labelled(both, *alone, neither)
    return result


def _logged(
    name: bytes,
    time_ns: int,
    arm: int,
    why: int,
    synthetic: int,
    latency: float,
    answer: int,
    other: int | None,
    label: int | None,
    features: bytes,
    feature_names: str,
    class_names: str,
) -> LoggedPrediction:
    classes = msgspec.json.decode(class_names, type=list[str])
    names = msgspec.json.decode(feature_names, type=list[str])
    values = [float(str(value)) for value in np.frombuffer(features, dtype="<f4")]
    return LoggedPrediction(
        prediction_id=name.hex(),
        time=_utc(time_ns),
        model_version=VERSIONS[arm],
        reason=REASONS[why],
        synthetic=bool(synthetic),
        latency_seconds=float(f"{latency:.4g}"),
        class_name=None if answer == FAILED else classes[answer],
        other_class=None if other is None else classes[other],
        label=None if label is None else classes[label],
        features=dict(zip(names, values, strict=True)),
    )


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown

"""Evaluate a forest on the held-out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.manifest import Estimate
from app.training.data import SEED, DataSet
from app.training.digits import short
from app.training.intervals import likely_tables, stratified_mean_interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sklearn.ensemble import RandomForestClassifier

LEAST_CHANCE = 1e-6
"""Least probability in the log loss: a forest gives 0 where no tree voted, and the loss would be infinite."""

Table = NDArray[np.int64]
Tables = NDArray[np.float64]


def held_out_metrics(forest: RandomForestClassifier, data: DataSet) -> dict[str, Estimate]:
    """Return accuracy, balanced accuracy, macro F1 and log loss, each with its 95 % interval."""
    labels = data.labels[data.held_out]
    chances = forest.predict_proba(data.rows[data.held_out])
    table = _answers(forest, data)
    there = table.sum(axis=1)
    likely = likely_tables(table, seed=SEED) * there[:, np.newaxis]
    right = int(np.trace(table))
    losses = -np.log(np.clip(chances[np.arange(len(labels)), labels], LEAST_CHANCE, 1.0))
    return {
        "accuracy": _estimate(right / len(labels), wilson_interval(right, len(labels))),
        "balanced_accuracy": _of_tables(balanced_accuracy(table[np.newaxis]), balanced_accuracy(likely)),
        "macro_f1": _of_tables(macro_f1(table[np.newaxis]), macro_f1(likely)),
        "log_loss": _estimate(float(losses.mean()), stratified_mean_interval(losses, labels, seed=SEED)),
    }


def held_out_recall(forest: RandomForestClassifier, data: DataSet) -> dict[str, Estimate]:
    """Return class -> recall on the held-out rows with Wilson's interval."""
    table = _answers(forest, data)
    found, there = np.diag(table).tolist(), table.sum(axis=1).tolist()
    return {
        name: _estimate(some / every, wilson_interval(some, every))
        for name, some, every in zip(data.classes, found, there, strict=True)
    }


def balanced_accuracy(tables: Tables | Table) -> NDArray[np.float64]:
    """Return the mean recall of the classes. tables: shape (tables, classes, predictions)."""
    recall = np.diagonal(tables, axis1=1, axis2=2) / tables.sum(axis=2)
    mean: NDArray[np.float64] = recall.mean(axis=1)
    return mean


def macro_f1(tables: Tables | Table) -> NDArray[np.float64]:
    """Return the mean F1 of the classes; 0 for a class that is never predicted. tables: see `balanced_accuracy`."""
    right = np.diagonal(tables, axis1=1, axis2=2)
    f1 = 2 * right / (tables.sum(axis=1) + tables.sum(axis=2))
    mean: NDArray[np.float64] = f1.mean(axis=1)
    return mean


def _answers(forest: RandomForestClassifier, data: DataSet) -> Table:
    # Rows of the table are true classes; every class has held-out rows.
    count = len(data.classes)
    answers = forest.predict(data.rows[data.held_out]).astype(np.int64)
    return np.bincount(data.labels[data.held_out] * count + answers, minlength=count * count).reshape(
        count, count
    )


def _of_tables(value: NDArray[np.float64], likely: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(likely, [0.025, 0.975]).tolist()
    # Without an error the figure lies outside its posterior.
    return _estimate(float(value[0]), (min(low, float(value[0])), max(high, float(value[0]))))


def _estimate(value: float, interval: Sequence[float]) -> Estimate:
    low, high = interval
    return Estimate(short(value), short(low), short(high))

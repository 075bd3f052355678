"""Limits of the drift test, bootstrapped from the training rows for windows of several sizes.

Two-sample bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16): a replicate draws
a reference of the real one's size and a window, both with replacement from the training rows, and measures the
distances between them. So the limits know that the reference is itself a sample: windows of the same population,
not only of the training rows themselves, stay within them.

Many features and classes are tested at once. Within features and within classes one quantile of the greatest
standardised distance serves all (max-T, Westfall and Young 1993), which takes into account how they go together;
features, classes and the joint check share the rate of false alarms evenly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.drift.distances import correlations, joint_distance, ranks
from app.drift.score import WINDOW
from app.manifest import DriftLimits, WindowLimits
from app.training.data import SEED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.drift.distances import Pairs
    from app.training.data import Labels, Matrix

ALPHA = 0.006
"""Share of windows without drift in which any limit is exceeded."""
FAMILIES = 3
REPLICATES = 4000
SIZES = (50, 75, 100, 150, WINDOW)
MAX_PAIRS = 500
HANDFUL = 3.0
"""Rows of a window that never raise an alarm alone, as in a class that was never predicted in training."""

Counts = NDArray[np.float32]
Distances = NDArray[np.float64]


def strongest_pairs(sample: Matrix) -> Pairs:
    """Return the pairs of columns with the strongest correlations, MAX_PAIRS at most, in a fixed order.

    Those are the ones in which losing the connection shows.
    """
    first, second = np.triu_indices(sample.shape[1], k=1)
    pairs = np.stack([first, second], axis=1)
    strength = np.abs(correlations(ranks(np.sort(sample, axis=0), sample), pairs))
    # Rounded, so that the last bit of a sum does not order equal pairs.
    kept = np.argsort(-np.round(strength, 9), kind="stable")[:MAX_PAIRS]
    return pairs[np.sort(kept)]


def bootstrap_limits(
    sample: Matrix,
    pairs: Pairs,
    answers: Mapping[str, Labels],
    classes: int,
    *,
    sizes: Sequence[int] = SIZES,
    seed: int = SEED,
) -> DriftLimits:
    """Return the limits for windows of each size.

    sample: rows of the reference. answers: by model version, the class index that the model gives to each of them
    (best by trees that have not seen the row). classes: how many there are.
    """
    random = np.random.default_rng(seed)
    count = len(sample)
    order = np.argsort(sample, axis=0, kind="stable")
    in_order = np.take_along_axis(sample, order, axis=0)
    ends = np.concatenate([in_order[1:] != in_order[:-1], np.ones((1, sample.shape[1]), dtype=bool)])
    moments = _Moments(ranks(in_order, sample), pairs)
    votes = [np.eye(classes, dtype=np.float32)[labels] for labels in answers.values()]
    windows = []
    for size in sizes:
        reference, window = _draw(random, count, count), _draw(random, size, count)
        difference = reference - window
        features = np.stack(
            [
                np.abs(np.cumsum(difference[:, order[:, column]], axis=1)[:, ends[:, column]]).max(axis=1)
                for column in range(sample.shape[1])
            ],
            axis=1,
        ).astype(np.float64)
        shares = np.concatenate([np.abs(difference @ vote) for vote in votes], axis=1).astype(np.float64)
        joint = joint_distance(moments.correlations(reference), moments.correlations(window))
        least = HANDFUL / size
        by_class = _common_limits(shares).reshape(len(votes), classes).max(axis=0)
        windows.append(
            WindowLimits(
                rows=size,
                features=_digits(np.maximum(_common_limits(features), least)),
                classes=_digits(np.maximum(by_class, least)),
                joint=_digits(np.maximum(np.quantile(joint, 1 - ALPHA / FAMILIES), least)[np.newaxis])[0],
            )
        )
    return DriftLimits(alpha=ALPHA, replicates=REPLICATES, windows=windows)


class _Moments:
    """Correlations of weighted rows for many sets of weights, as matrix products."""

    def __init__(self, standing: NDArray[np.float64], pairs: Pairs) -> None:
        first, second = standing[:, pairs[:, 0]], standing[:, pairs[:, 1]]
        self._pairs = pairs
        self._single = standing.astype(np.float32)
        self._square = (standing**2).astype(np.float32)
        self._product = (first * second).astype(np.float32)

    def correlations(self, weights: Counts) -> Distances:
        """Return the correlations, shape (sets of weights, pairs)."""
        mean = (weights @ self._single).astype(np.float64)
        spread = np.sqrt(np.maximum((weights @ self._square) - mean**2, 0.0))
        one, other = self._pairs.T
        shared = (weights @ self._product) - mean[:, one] * mean[:, other]
        scale = spread[:, one] * spread[:, other]
        result: Distances = np.divide(shared, scale, out=np.zeros(shared.shape), where=scale > 1e-6)
        return result


def _draw(random: np.random.Generator, size: int, count: int) -> Counts:
    # Weight of each training row in each replicate, shape (replicates, count).
    drawn = random.multinomial(size, np.full(count, 1 / count), size=REPLICATES)
    return (drawn / size).astype(np.float32)


def _common_limits(distances: Distances) -> Distances:
    mean, spread = distances.mean(axis=0), distances.std(axis=0)
    standard = np.divide(distances - mean, spread, out=np.zeros(distances.shape), where=spread > 0)
    result: Distances = mean + np.quantile(standard.max(axis=1), 1 - ALPHA / FAMILIES) * spread
    return result


def _digits(values: Distances) -> list[float]:
    # Four digits are the precision of the replicates, and do not depend on the order of sums.
    return [float(f"{value:.4g}") for value in values]

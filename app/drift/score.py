"""model_drift_score: distance of mean and standard deviation of recent rows from the training rows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 200
"""Rows of the window: the latest ones of all workers."""
MINIMUM = 30
"""Fewest rows for a score; on fewer it is noise (without drift 15 % of windows of 10 rows exceed 0.3)."""
THRESHOLD = 0.3
"""Score above which the inputs count as drifted."""

Matrix = NDArray[np.float64]


def drift_score(rows: Matrix, training_mean: Sequence[float], training_std: Sequence[float]) -> float | None:
    """Return the score, 0 to 1, of a window of shape (rows, features); None on fewer than MINIMUM rows.

    mean over the features of (|mean - training mean| + |std - training std|) / training std, halved, clipped to 0..1.
    Standard deviations are the population's. A feature that was constant in training counts 0 while it stays
    exactly so, and drives the score to 1 when it moves.
    """
    if len(rows) < MINIMUM:
        return None
    mean = np.asarray(training_mean, dtype=np.float64)
    std = np.asarray(training_std, dtype=np.float64)
    distance = np.abs(rows.mean(axis=0) - mean) + np.abs(rows.std(axis=0) - std)
    moved = np.where(distance > 0, np.inf, 0.0)
    relative = np.divide(distance, std, out=moved, where=std > 0)
    return float(np.clip(relative.mean() / 2, 0.0, 1.0))

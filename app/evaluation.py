"""95 % intervals for held-out figures. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z = 1.959964
RESAMPLES = 2000


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Interval of a share by Wilson's score: stays within 0..1 and keeps its width when every trial succeeds."""
    share = successes / trials
    denominator = 1 + Z**2 / trials
    centre = (share + Z**2 / (2 * trials)) / denominator
    half = Z / denominator * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: NDArray[np.float64], *, seed: int) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean; the same seed gives the same interval."""
    picks = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)

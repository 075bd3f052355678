"""95 % intervals for held-out figures. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z = 1.959964
DRAWS = 2000


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return a share's interval by Wilson's score (1927): within 0..1, and not empty when every trial succeeds."""
    share = successes / trials
    denominator = 1 + Z**2 / trials
    centre = (share + Z**2 / (2 * trials)) / denominator
    half = Z / denominator * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def stratified_mean_interval(
    values: NDArray[np.float64], labels: NDArray[np.int64], *, seed: int
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean (Efron 1979), drawn with replacement within each class.

    Classes keep their sizes, as the split kept them (Davison and Hinkley 1997, section 3.2). The same seed gives the
    same interval.
    """
    random = np.random.default_rng(seed)
    sums = np.zeros(DRAWS)
    for label in np.unique(labels):
        stratum = values[labels == label]
        for draw in range(DRAWS):
            sums[draw] += stratum[random.integers(0, len(stratum), len(stratum))].sum()
    low, high = np.quantile(sums / len(values), [0.025, 0.975])
    return float(low), float(high)


def likely_tables(table: NDArray[np.int64], *, seed: int) -> NDArray[np.float64]:
    """Return DRAWS tables of class by answer, as shares of each class, that could have given this one of counts.

    Each class is a Dirichlet posterior under a prior of one row spread over all answers (Perks 1947); figures made of
    such tables have intervals as Goutte and Gaussier (2005) give them for F1. A bootstrap would give none at all for a
    model that made no error on few rows.
    """
    random = np.random.default_rng(seed)
    draws = random.standard_gamma(table + 1 / table.shape[1], size=(DRAWS, *table.shape))
    shares: NDArray[np.float64] = draws / draws.sum(axis=2, keepdims=True)
    return shares

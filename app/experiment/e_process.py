"""Anytime-valid evidence, which may be read after every observation: two e-processes. Pure.

An e-process starts at 1 and, under its null hypothesis, has an expectation of at most 1 at every stopping time. So the
probability that it ever reaches 1/alpha is at most alpha (Ville 1939), however often it is read; a fixed-sample test
that is read repeatedly has no such bound. See Ramdas, Grunwald, Vovk and Shafer, "Game-theoretic
statistics and safe anytime-valid inference", Statistical Science 38 (2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANCES = (np.arange(50) + 0.5) / 100 + 0.5
"""Probabilities above 1/2 that the paired process bets on, with equal weights: 0.505, 0.515 … 0.995."""
CONCENTRATION = 100.0
"""Concentration of the sample-ratio process's prior around the expected shares, in observations."""

Vector = NDArray[np.float64]


def log_superiority(wins: NDArray[np.int64] | int, losses: NDArray[np.int64] | int) -> Vector:
    """Return the log of the evidence against "a win is at most as likely as a loss"; shape of the counts.

    Observations are the rows on which two models disagree and exactly one of them is right (the pairs of McNemar 1947),
    so that under the null hypothesis each is a win with probability 1/2 at most, whatever the rows are. For p above 1/2
    the product of 2p for each win and 2(1 - p) for each loss is a test supermartingale (Wald's likelihood ratio, 1945);
    so is the mean over CHANCES (Robbins 1970), which needs no choice of p.
    """
    won, lost = np.asarray(wins, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    bets = won[..., np.newaxis] * np.log(2 * CHANCES) + lost[..., np.newaxis] * np.log(2 * (1 - CHANCES))
    highest = bets.max(axis=-1)
    result: Vector = highest + np.log(np.exp(bets - highest[..., np.newaxis]).mean(axis=-1))
    return result


def fewest_wins(needed: float) -> int:
    """Return the number of wins without a loss that gives the evidence `needed`: fewer allow no verdict."""
    wins = 1
    while log_superiority(wins, 0) < math.log(needed):
        wins += 1
    return wins


def log_ratio_mismatch(counts: Sequence[int], expected: Sequence[float]) -> float:
    """Return the log of the evidence against independent observations of category i with probability expected[i].

    The Dirichlet-multinomial mixture of Lindon and Malek, "Anytime-valid inference for multinomial count data"
    (NeurIPS 2022), centred on the expected shares. Infinite once a category with probability 0 is observed.
    """
    if any(count and not share for count, share in zip(counts, expected, strict=True)):
        return math.inf
    pairs = [(count, share) for count, share in zip(counts, expected, strict=True) if share]
    total = sum(count for count, _ in pairs)
    mixed = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + total)
    for count, share in pairs:
        prior = CONCENTRATION * share
        mixed += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return mixed

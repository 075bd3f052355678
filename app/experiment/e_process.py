"""Evidence that may be looked at after every observation: two e-processes. Pure.

An e-process starts at 1 and, while its null hypothesis holds, has an expectation of 1 at most at any time one may
choose to stop. So the chance that it ever reaches 1/alpha is alpha at most (Ville 1939), however often one looks;
a fixed-sample test looked at as data come in has no such bound. See Ramdas, Grunwald, Vovk and Shafer, "Game-theoretic
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
"""The chances above 1/2 that the paired process bets on, evenly: 0.505, 0.515 … 0.995."""
CONCENTRATION = 100.0
"""How near to the expected shares the sample-ratio process looks for others, in observations."""

Vector = NDArray[np.float64]


def log_superiority(wins: NDArray[np.int64] | int, losses: NDArray[np.int64] | int) -> Vector:
    """Log of the evidence against "a win is at most as likely as a loss"; shape of the counts.

    Observations are the rows on which two models disagree and exactly one of them is right, so that under the null
    hypothesis each is a win with chance 1/2 at most, whatever the rows are: McNemar's (1947) pairs, one at a time.
    For a chance p above 1/2 the product of 2p for a win and 2(1 - p) for a loss is a test supermartingale (Wald's
    likelihood ratio, 1945); the mean over CHANCES is one too (Robbins 1970), and needs no guess of p.
    """
    won, lost = np.asarray(wins, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    bets = won[..., np.newaxis] * np.log(2 * CHANCES) + lost[..., np.newaxis] * np.log(2 * (1 - CHANCES))
    highest = bets.max(axis=-1)
    result: Vector = highest + np.log(np.exp(bets - highest[..., np.newaxis]).mean(axis=-1))
    return result


def fewest_wins(needed: float) -> int:
    """How many wins without a loss bring the evidence to `needed`: below that no verdict is possible."""
    wins = 1
    while log_superiority(wins, 0) < math.log(needed):
        wins += 1
    return wins


def log_ratio_mismatch(counts: Sequence[int], expected: Sequence[float]) -> float:
    """Log of the evidence against "each observation falls to place i with chance expected[i]", independently.

    The Dirichlet-multinomial mixture of Lindon and Malek, "Anytime-valid inference for multinomial count data"
    (NeurIPS 2022), centred on the expected shares. Infinite once anything falls where nothing can.
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

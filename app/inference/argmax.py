"""Choose the predicted class from probabilities. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TIE = 1e-6
"""Largest difference of equal probabilities that were summed in another order or precision."""


def most_likely(chances: Sequence[float]) -> int:
    """Return the index of the highest probability; the first one of a tie, as in scikit-learn.

    The label output of a converted forest is not used: it sums the votes in float32, and rounding decides between
    classes with equally many votes (on 9 of 40,300 rows).
    """
    threshold = max(chances) - TIE
    for index, chance in enumerate(chances):
        if chance >= threshold:
            return index
    raise ValueError("a probability is not a number")

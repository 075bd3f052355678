"""Choose the model version for a request: a weighted draw. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SPLIT = "split"
STICKY = "sticky"
FORCED = "forced"
FALLBACK = "fallback"


class Choice(NamedTuple):
    """A version and the reason, one of the constants above; FALLBACK where the assigned version is unavailable."""

    version: str
    reason: str


@dataclass(frozen=True)
class Split:
    """The weights of the two versions, and which of them are up.

    The traffic of an unavailable version goes to the other one. A version with weight 0 never answers, not even then:
    with 100/0 an operator takes a bad model out of service, and a broken file must not undo that.
    """

    first: str
    second: str
    first_weight: int
    second_weight: int
    up: frozenset[str]

    def choose(self, draw: float, why: str = SPLIT) -> Choice | None:
        """Return the version for one request; None when no version with a weight above 0 is up.

        draw: uniform in [0, 1), random or the user's position; why: SPLIT or STICKY accordingly.
        """
        assigned, other, other_weight = (
            (self.first, self.second, self.second_weight)
            if draw * (self.first_weight + self.second_weight) < self.first_weight
            else (self.second, self.first, self.first_weight)
        )
        if assigned in self.up:
            return Choice(assigned, why)
        if other in self.up and other_weight > 0:
            return Choice(other, FALLBACK)
        return None

    @property
    def weights(self) -> Mapping[str, int]:
        """Return version -> configured weight."""
        return {self.first: self.first_weight, self.second: self.second_weight}

    @property
    def configured(self) -> Mapping[str, float]:
        """Return version -> share of 1 by the weights alone."""
        total = self.first_weight + self.second_weight
        return {version: weight / total for version, weight in self.weights.items()}

    @property
    def serving(self) -> Mapping[str, float]:
        """Return version -> share of 1 among the available versions; all 0 when none may answer."""
        alive = {version: weight if version in self.up else 0 for version, weight in self.weights.items()}
        total = sum(alive.values())
        return {version: weight / total if total else 0.0 for version, weight in alive.items()}

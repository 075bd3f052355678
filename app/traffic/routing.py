"""Which arm answers: a weighted draw, as a pure choice."""

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
    """The arm that answers, and why it does: one of the words above; FALLBACK when the arm that was due is off."""

    version: str
    reason: str


@dataclass(frozen=True)
class Split:
    """The weights of the arms and which of them are up.

    An arm that is off gives its traffic to the other one. An arm whose weight is 0 never answers, not even then:
    100/0 is how an operator takes a bad model out of service, and a broken file must not bring it back.
    """

    first: str
    second: str
    first_weight: int
    second_weight: int
    up: frozenset[str]

    def choose(self, draw: float, why: str = SPLIT) -> Choice | None:
        """The arm for one request; None when no arm with a weight above 0 is up.

        draw: uniform in [0, 1), by chance or the user's own place; `why` says which of the two.
        """
        due, other, other_weight = (
            (self.first, self.second, self.second_weight)
            if draw * (self.first_weight + self.second_weight) < self.first_weight
            else (self.second, self.first, self.first_weight)
        )
        if due in self.up:
            return Choice(due, why)
        if other in self.up and other_weight > 0:
            return Choice(other, FALLBACK)
        return None

    @property
    def weights(self) -> Mapping[str, int]:
        """version -> configured weight."""
        return {self.first: self.first_weight, self.second: self.second_weight}

    @property
    def configured(self) -> Mapping[str, float]:
        """version -> share of 1 by the weights alone."""
        total = self.first_weight + self.second_weight
        return {version: weight / total for version, weight in self.weights.items()}

    @property
    def serving(self) -> Mapping[str, float]:
        """version -> share of 1 with the arms that are up; all 0 when none may answer."""
        alive = {version: weight if version in self.up else 0 for version, weight in self.weights.items()}
        total = sum(alive.values())
        return {version: weight / total if total else 0.0 for version, weight in alive.items()}

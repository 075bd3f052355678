"""One deadline over many steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from provisioning.errors import DeadlinePassed


@dataclass
class Deadline:
    """Counts down from `seconds` since it was made; the clock can be replaced."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def waited(self) -> float:
        """Return the seconds since the start."""
        return self.clock() - self.started

    @property
    def left(self) -> float:
        """Return the seconds that are left, never below 0."""
        return max(0.0, self.seconds - self.waited)

    def check(self, step: str) -> float:
        """Return the seconds that are left. Raises DeadlinePassed naming the step when there are none."""
        if self.left <= 0:
            raise DeadlinePassed(step, self.seconds)
        return self.left

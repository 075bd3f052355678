"""The calibrated drift test: distances of recent rows and predictions against limits for windows of their size.

`app.training.limits` computes the limits: without drift any of them is exceeded in about half a percent of the windows,
over all features, classes and the joint check together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.drift.distances import correlations, distribution_distances, joint_distance, ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from app.drift.distances import Matrix
    from app.manifest import Catalogue, WindowLimits

WARMING_UP = "warming_up"
STEADY = "steady"
DRIFTED = "drifted"


@dataclass(frozen=True)
class Finding:
    """One distance, 0 to 1, and its limit."""

    name: str
    distance: float
    limit: float

    @property
    def drifted(self) -> bool:
        """Return whether the distance exceeds the limit."""
        return self.distance > self.limit

    @property
    def ratio(self) -> float:
        """Return distance divided by limit: above 1 is drift."""
        return self.distance / self.limit


@dataclass(frozen=True)
class Verdict:
    """Result of the test for one window; without findings while it is warming up."""

    rows: int
    features: tuple[Finding, ...] = ()
    classes: tuple[Finding, ...] = ()
    joint: Finding | None = None
    shares: tuple[float, ...] = ()
    """Share of each class among the predictions of the window."""
    expected_shares: tuple[float, ...] = ()
    """Share of each class among the same models' predictions for training rows."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return all findings."""
        return (*self.features, *self.classes, *((self.joint,) if self.joint else ()))

    @property
    def status(self) -> str:
        """Return `warming_up` below the test's minimum of rows, `drifted` when any limit is exceeded, else `steady`."""
        if not self.findings:
            return WARMING_UP
        return DRIFTED if any(finding.drifted for finding in self.findings) else STEADY


class Detector:
    """Tests windows against one training reference. Stateless."""

    def __init__(self, catalogue: Catalogue) -> None:
        reference = catalogue.reference
        self._names = catalogue.manifest.feature_names
        self._classes = catalogue.manifest.classes
        self._sorted: Matrix = np.sort(np.array(reference.sample, dtype=np.float32), axis=0)
        self._pairs = np.array(reference.pairs, dtype=np.intp).reshape(-1, 2)
        # Correlations need the rows, not the sorted columns.
        self._correlations = correlations(
            ranks(self._sorted, np.array(reference.sample, dtype=np.float32)), self._pairs
        )
        self._shares = {
            version: np.array([shares[name] for name in self._classes])
            for version, shares in reference.predicted_shares.items()
        }
        self._windows = sorted(catalogue.manifest.drift.windows, key=lambda window: window.rows)

    @property
    def minimum(self) -> int:
        """Return the fewest rows for a verdict."""
        return self._windows[0].rows

    def test(self, rows: Matrix, answers: Sequence[int], versions: Sequence[str]) -> Verdict:
        """Test a window. rows: shape (rows, features); answers, versions: class index and model of each row."""
        count = len(rows)
        limits = self._limits(count)
        if limits is None:
            return Verdict(count)
        distances = distribution_distances(self._sorted, rows)
        shares = np.bincount(np.asarray(answers, dtype=np.intp), minlength=len(self._classes)) / count
        expected = self._expected(versions)
        together = joint_distance(correlations(ranks(self._sorted, rows), self._pairs), self._correlations)
        return Verdict(
            rows=count,
            features=_findings(self._names, distances, limits.features),
            classes=_findings(self._classes, np.abs(shares - expected), limits.classes),
            joint=Finding("joint", float(together), limits.joint) if len(self._pairs) else None,
            shares=tuple(shares.tolist()),
            expected_shares=tuple(expected.tolist()),
        )

    def _limits(self, count: int) -> WindowLimits | None:
        # Limits shrink as windows grow, so those of the next smaller size give fewer alarms.
        fitting = [window for window in self._windows if window.rows <= count]
        return fitting[-1] if fitting else None

    def _expected(self, versions: Sequence[str]) -> NDArray[np.float64]:
        # Shares of the training rows, weighted by the versions that answered in this window.
        shares: NDArray[np.float64] = np.mean([self._shares[version] for version in versions], axis=0)
        return shares


def _findings(
    names: Sequence[str], distances: NDArray[np.float64], limits: Sequence[float]
) -> tuple[Finding, ...]:
    return tuple(map(Finding, names, distances.tolist(), limits))

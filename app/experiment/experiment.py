"""The verdict of the A/B experiment, from the observations of both versions. Pure.

Both models score every row, only the assigned one answers. So they are compared on the same rows, which needs far fewer
labels than a comparison of two groups of rows: only rows on which the models disagree are informative.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from app.experiment.e_process import fewest_wins, log_ratio_mismatch, log_superiority

ALPHA = 0.05
"""Probability of a verdict between equal models, however often the experiment is read."""
NEEDED = 2 / ALPHA
"""Evidence for a verdict: each direction has half of ALPHA."""
RATIO_ALPHA = 0.001
"""Probability that a correct split is ever called broken."""

Verdict = Literal["collecting", "no_difference_yet", "v2_better", "v1_better", "invalid"]


class ArmCounts(msgspec.Struct, frozen=True):
    """Answers of one version; latencies in seconds."""

    answered: int
    errors: int
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None


class Labelled(msgspec.Struct, frozen=True):
    """Labelled rows by which model was right. The verdict depends on the `only` counts."""

    both_right: int = 0
    only_v1: int = 0
    only_v2: int = 0
    both_wrong: int = 0

    def __add__(self, other: Labelled) -> Labelled:
        return Labelled(
            self.both_right + other.both_right,
            self.only_v1 + other.only_v1,
            self.only_v2 + other.only_v2,
            self.both_wrong + other.both_wrong,
        )

    @property
    def rows(self) -> int:
        """Return the number of all labelled rows."""
        return self.both_right + self.only_v1 + self.only_v2 + self.both_wrong


class Assigned(msgspec.Struct, frozen=True):
    """Random assignments under one split: number and expected share of each version."""

    counts: tuple[int, int]
    shares: tuple[float, float]


class Observations(msgspec.Struct, frozen=True):
    """The input of the verdict."""

    arms: dict[str, ArmCounts]
    compared: int
    """Rows that both models scored."""
    disagreed: int
    labelled: dict[str, Labelled]
    """By the version that answered: its answer may have influenced the label."""
    assigned: list[Assigned]
    """One for each split that was active."""
    same_model: bool = False
    """Whether both versions are the same model file."""


class SampleRatio(msgspec.Struct, frozen=True):
    """Test of the assignments against the split (sample ratio mismatch)."""

    checked: int
    """Random assignments; sticky ones are not independent of each other."""
    evidence: float | None
    """Above 1 / alpha the split is broken; null for infinity."""
    alpha: float
    broken: bool


class Superiority(msgspec.Struct, frozen=True):
    """The paired comparison on labelled rows."""

    v1_right_alone: int
    v2_right_alone: int
    evidence_v1: float
    evidence_v2: float
    """Evidence that v2 is better; a verdict takes `needed`."""
    needed: float
    alpha: float


class Experiment(msgspec.Struct, frozen=True):
    """Response body of GET /experiment."""

    verdict: Verdict
    reason: str
    """The verdict as a sentence with its numbers."""
    since: str | None
    """Time of the first observation (UTC)."""
    arms: dict[str, ArmCounts]
    compared: int
    disagreement_rate: float | None
    labelled: Labelled
    labelled_after: dict[str, Labelled]
    superiority: Superiority
    sample_ratio: SampleRatio


def judge(seen: Observations, since: str | None = None) -> Experiment:
    """Return the report on the observations; valid after every one of them. since: time of the first one."""
    total = sum(seen.labelled.values(), Labelled())
    superiority = Superiority(
        v1_right_alone=total.only_v1,
        v2_right_alone=total.only_v2,
        evidence_v1=_evidence(float(log_superiority(total.only_v1, total.only_v2))),
        evidence_v2=_evidence(float(log_superiority(total.only_v2, total.only_v1))),
        needed=NEEDED,
        alpha=ALPHA,
    )
    ratio = _sample_ratio(seen.assigned)
    verdict, reason = _verdict(seen, superiority, ratio)
    return Experiment(
        verdict=verdict,
        reason=reason,
        since=since,
        arms=seen.arms,
        compared=seen.compared,
        disagreement_rate=seen.disagreed / seen.compared if seen.compared else None,
        labelled=total,
        labelled_after=seen.labelled,
        superiority=superiority,
        sample_ratio=ratio,
    )


def _verdict(seen: Observations, found: Superiority, ratio: SampleRatio) -> tuple[Verdict, str]:
    deciding = found.v1_right_alone + found.v2_right_alone
    numbers = (
        f"of {deciding} labelled rows on which exactly one model was right, v1 was right on {found.v1_right_alone} "
        f"and v2 on {found.v2_right_alone}"
    )
    if seen.same_model:
        return "invalid", "both arms serve the same file, so there is nothing to compare"
    if ratio.broken:
        return "invalid", (
            f"the {ratio.checked} random assignments do not follow the split, so the arms cannot be compared"
        )
    if found.evidence_v2 >= NEEDED:
        return "v2_better", f"{numbers}: evidence {found.evidence_v2:.3g}, needed {NEEDED:g}"
    if found.evidence_v1 >= NEEDED:
        return "v1_better", f"{numbers}: evidence {found.evidence_v1:.3g}, needed {NEEDED:g}"
    fewest = fewest_wins(NEEDED)
    if deciding < fewest:
        return "collecting", f"{numbers}; {fewest} at least are needed for a verdict"
    strongest = max(found.evidence_v1, found.evidence_v2)
    return "no_difference_yet", f"{numbers}: evidence {strongest:.3g}, needed {NEEDED:g}"


def _sample_ratio(assigned: list[Assigned]) -> SampleRatio:
    # Each split has its own e-process; the product of consecutive ones is an e-process.
    log_evidence = sum(log_ratio_mismatch(part.counts, part.shares) for part in assigned)
    return SampleRatio(
        checked=sum(sum(part.counts) for part in assigned),
        evidence=_evidence(log_evidence) if math.isfinite(log_evidence) else None,
        alpha=RATIO_ALPHA,
        broken=log_evidence >= -math.log(RATIO_ALPHA),
    )


def _evidence(log_evidence: float) -> float:
    # JSON has no infinity; e^690 is about 1e300.
    return float(f"{math.exp(min(log_evidence, 690.0)):.6g}")

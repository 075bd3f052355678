"""Running totals of the experiment, in tables of their own so that they outlast the predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.manifest import VERSIONS
from app.shm.ring_buffer import FAILED, REASONS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from app.shm.ring_buffer import Records
    from app.traffic.split import Weights

BUCKETS_A_DECADE = 20
"""Latency buckets in a factor of 10: steps of 12 %."""
LEAST_LATENCY = 1e-7
_SPLIT, _FALLBACK = REASONS.index("split"), REASONS.index("fallback")


@dataclass(frozen=True)
class Added:
    """Rows that one call has added."""

    compared: int
    disagreed: int


def add_to_totals(
    connection: sqlite3.Connection,
    manifest: int,
    records: Records,
    others: Sequence[int | None],
    weights: Weights | None,
) -> Added:
    """Add the records that are not synthetic to the totals, within the caller's transaction.

    others: prediction of the other model, None without one. weights: the split of the assignments, None where unknown.
    """
    if not len(records):
        return Added(0, 0)
    real = ~records["synthetic"]
    both = real & np.array([other is not None for other in others])
    differ = both & (records["class_index"] != np.array([-2 if other is None else other for other in others]))
    failed = records["class_index"] == FAILED
    for arm in range(len(VERSIONS)):
        mine = real & (records["arm"] == arm)
        counts = [int((mine & part).sum()) for part in (~failed, failed, both, differ)]
        if any(counts):
            connection.execute(
                "INSERT INTO arms VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "answered = answered + excluded.answered, errors = errors + excluded.errors, "
                "compared = compared + excluded.compared, disagreed = disagreed + excluded.disagreed",
                (manifest, arm, *counts),
            )
        _add_latencies(connection, manifest, arm, records["latency"][mine & ~failed])
    if weights is not None:
        _add_assigned(connection, manifest, records[real], weights)
    return Added(int(both.sum()), int(differ.sum()))


def latency_quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the quantile `share` of the latency in seconds, within 6 %; None without answers. counts: by bucket."""
    total = sum(counts.values())
    reached = 0
    for bucket in sorted(counts):
        reached += counts[bucket]
        if reached >= share * total:
            return float(f"{10 ** ((bucket + 0.5) / BUCKETS_A_DECADE):.3g}")
    return None


def latency_buckets(seconds: np.ndarray) -> np.ndarray:
    """Return the bucket of each latency in seconds, as int64 of the same shape."""
    buckets: np.ndarray = np.floor(
        np.log10(np.maximum(seconds.astype(np.float64), LEAST_LATENCY)) * BUCKETS_A_DECADE
    )
    return buckets.astype(np.int64)


def _add_latencies(connection: sqlite3.Connection, manifest: int, arm: int, latencies: np.ndarray) -> None:
    buckets, counts = np.unique(latency_buckets(latencies), return_counts=True)
    connection.executemany(
        "INSERT INTO latencies VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(manifest, arm, *pair) for pair in zip(buckets.tolist(), counts.tolist(), strict=True)],
    )


def _add_assigned(connection: sqlite3.Connection, manifest: int, records: Records, weights: Weights) -> None:
    # Sticky users are left out: a busy one would look like a broken split. So are the rows of a batch after the first:
    # they are one draw and have one time. A fallback row was drawn for the other version.
    _, first = np.unique(records["time"], return_index=True)
    records = records[first]
    drawn = records["arm"][records["why"] == _SPLIT]
    stood_in = 1 - records["arm"][records["why"] == _FALLBACK]
    counts = np.bincount(np.concatenate([drawn, stood_in]).astype(np.int64), minlength=2).tolist()
    if any(counts):
        connection.execute(
            "INSERT INTO assigned VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "first = first + excluded.first, second = second + excluded.second",
            (manifest, *weights, *counts),
        )

"""Convert reports to table rows and CSV. Pure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from ui.display.wording import VERDICTS, duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ui.api.reports import Distance, ExperimentReport, Logged

Rows = list[dict[str, object]]


def predictions(logged: Iterable[Logged]) -> Rows:
    """Return one row per prediction, in the given order: time, predictions, inputs by feature name, reason."""
    return [
        {
            "time (UTC)": row.time.replace("T", " ").rstrip("Z"),
            "class": row.class_name or "(failed)",
            "other model": row.other_class or "",
            "label": row.label or "",
            **row.features,
            "version": row.model_version,
            "reason": row.reason,
            "synthetic": row.synthetic,
            "milliseconds": float(f"{row.latency * 1000:.3g}"),
            "prediction id": row.prediction_id,
        }
        for row in logged
    ]


def distances(items: Iterable[Distance], what: str, now: str, training: str) -> Rows:
    """Return one row per feature or class, the greatest distance first."""
    return [
        {
            what: item.name,
            "of its limit": item.ratio,
            now: item.now,
            training: item.training,
            "distance": item.distance,
            "limit": item.limit,
        }
        for item in sorted(items, key=lambda item: item.ratio, reverse=True)
    ]


def arms(report: ExperimentReport) -> Rows:
    """Return one row per version: its predictions, and the labelled rows on which it alone was right."""
    alone = {"v1": report.labelled.only_v1, "v2": report.labelled.only_v2}
    return [
        {
            "version": version,
            "answered": arm.answered,
            "errors": arm.errors,
            "p50": duration(arm.latency_p50),
            "p95": duration(arm.latency_p95),
            "p99": duration(arm.latency_p99),
            "right alone": alone.get(version),
            "evidence that it is better": report.evidence.get(version),
        }
        for version, arm in report.arms.items()
    ]


def labels(report: ExperimentReport) -> Rows:
    """Return labelled rows by the version that answered."""
    return [
        {
            "answered by": version,
            "both right": found.both_right,
            "only v1 right": found.only_v1,
            "only v2 right": found.only_v2,
            "both wrong": found.both_wrong,
        }
        for version, found in report.labelled_after.items()
    ]


def verdict(report: ExperimentReport) -> str:
    """Return the verdict in two or three words."""
    return VERDICTS.get(report.verdict, report.verdict)


def as_csv(table: Sequence[dict[str, object]]) -> str:
    """Return CSV with one header line; rows of an older release with other features have empty cells."""
    names = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()

"""The history as table rows and as CSV. Pure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ui.session import Record


def rows(records: Iterable[Record]) -> list[dict[str, object]]:
    """One row per prediction, newest first: time, inputs by feature name, answer."""
    return [
        {
            "time (UTC)": record.at.strftime("%Y-%m-%d %H:%M:%S"),
            **record.features,
            "class": record.prediction.class_name,
            "probability": record.prediction.probabilities.get(record.prediction.class_name),
            "version": record.prediction.model_version,
            "prediction id": record.prediction.prediction_id,
        }
        for record in reversed(list(records))
    ]


def as_csv(table: list[dict[str, object]]) -> str:
    """The rows with one header line; rows of an older release with other features leave cells empty."""
    names = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()

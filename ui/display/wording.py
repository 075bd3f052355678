"""Format values as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.api.answers import Config, Prediction
    from ui.api.reports import Drift, ExperimentReport
    from ui.api.usage import Usage
    from ui.errors import UiError

# Characters with a meaning in Streamlit's Markdown: emphasis, code, links, HTML, colours, icons, formulas, tables.
_MARKDOWN = re.compile(r"([\\`*_\[\]<>:$~#|!&])")


def plain(text: str) -> str:
    """Return `text` escaped for Markdown, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def error_sentence(error: UiError) -> str:
    """Return what went wrong and what to do, as Markdown."""
    said = str(error).rstrip(".")
    return f"{plain(said)}. {error.hint}"


def share(value: float) -> str:
    """Return a share as text: 0.5 is "50 %"; one decimal only where it matters."""
    return f"{value * 100:.3g} %"


def duration(seconds: float | None) -> str:
    """Return a latency in a suitable unit, a dash for None."""
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def split_sentence(config: Config) -> str:
    """Return the split as text: "v1 50 %, v2 50 %"."""
    return ", ".join(f"{version} {share(part)}" for version, part in config.split.items())


def reason_sentence(prediction: Prediction, config: Config) -> str:
    """Return why this model answered, as far as this version of the UI knows the reason."""
    if prediction.reason == "split":
        return f"Assigned by the split: {split_sentence(config)}."
    if prediction.reason == "sticky":
        return "The user of the request is assigned to this model."
    if prediction.reason == "forced":
        return "The request forced this model."
    if prediction.reason == "fallback":
        return "The assigned model is unavailable; this one answered instead."
    return f"Reason given by the API: {prediction.reason}."


def unavailable_sentence(config: Config) -> str | None:
    """Return which models are unavailable, why, and which answer instead; None if all are available."""
    unavailable = [
        f"Model {version} is unavailable ({(arm.reason or 'no reason given').rstrip('.')})."
        for version, arm in config.models.items()
        if not arm.up
    ]
    if not unavailable:
        return None
    # A model of weight 0 never takes over the traffic of another.
    answering = [version for version, arm in config.models.items() if arm.up and config.split.get(version)]
    return " ".join(
        [
            *unavailable,
            f"{' and '.join(answering)} answers all requests." if answering else "No model can answer.",
        ]
    )


def drift_sentence(usage: Usage, config: Config) -> str:
    """Return the result of the drift test, or how many rows the window still lacks."""
    if usage.drift_score is None:
        return f"Warming up: {usage.drift_rows} of {config.drift.minimum} rows."
    found = "finds drift; see the Drift page" if usage.drift_found else "finds no drift"
    return f"The test over the latest {usage.drift_rows} rows {found}."


VERDICTS = {
    "collecting": "Collecting labels",
    "no_difference_yet": "No difference yet",
    "v1_better": "v1 is better",
    "v2_better": "v2 is better",
    "invalid": "Invalid",
}


def drift_verdict(drift: Drift) -> str:
    """Return the verdict of the drift test, with what exceeded its limit."""
    if drift.status == "warming_up":
        return f"Warming up: {drift.rows} of {drift.minimum} rows."
    if drift.status == "drifted":
        moved = [item.name for item in drift.features if item.drifted]
        moved += [f"share of {item.name}" for item in drift.classes if item.drifted]
        if drift.joint and drift.joint.drifted:
            moved.append("the correlations between features")
        return f"Drift over {drift.rows} rows: {', '.join(moved)}."
    if drift.status == "steady":
        return f"The latest {drift.rows} rows are like the training data."
    return "The API has no models to compare with."


def ratio_sentence(report: ExperimentReport) -> str:
    """Return whether the assignments follow the split."""
    if report.ratio_broken:
        return f"The {report.ratio_checked:,} random assignments do not follow the split."
    return f"The {report.ratio_checked:,} random assignments follow the split."


def listed(values: Mapping[str, object]) -> str:
    """Return parameters or metrics as text of a table cell: "max depth 5 · accuracy 0.933 (0.81 to 0.98)".

    Three numbers named value, low and high are a value with its interval.
    """
    return " · ".join(f"{name.replace('_', ' ')} {_cell(value)}" for name, value in values.items())


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        if value.keys() == {"value", "low", "high"}:
            return f"{_cell(value['value'])} ({_cell(value['low'])} to {_cell(value['high'])})"
        return f"({listed(value)})"
    return str(value)

"""Values as text for users. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.api.reports import Drift, ExperimentReport
    from ui.api.responses import Config, Prediction
    from ui.api.usage import Usage
    from ui.errors import UiError

# Syntax of Streamlit's Markdown: emphasis, code, links, HTML, colours, icons, formulas, tables.
_MARKDOWN = re.compile(r"([\\`*_\[\]<>:$~#|!&])")


def plain(text: str) -> str:
    """Return `text` escaped for Markdown, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def error_sentence(error: UiError) -> str:
    """Return the error and the next step as Markdown."""
    said = str(error).rstrip(".")
    return f"{plain(said)}. {error.hint}"


def share(value: float) -> str:
    """Return a share of 1 in percent, with three significant digits: 0.5 -> "50 %"."""
    return f"{value * 100:.3g} %"


def duration(seconds: float | None) -> str:
    """Return a latency in ms or s, a dash for None."""
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def split_sentence(config: Config) -> str:
    """ "v1 50 %, v2 50 %" """
    return ", ".join(f"{version} {share(part)}" for version, part in config.split.items())


def reason_sentence(prediction: Prediction, config: Config) -> str:
    """Return why this model answered; a reason unknown to this version of the UI is shown as it is."""
    if prediction.reason == "split":
        return f"Drawn by the split: {split_sentence(config)}."
    if prediction.reason == "sticky":
        return "The user that the request names keeps this model."
    if prediction.reason == "forced":
        return "The request asked for this model."
    if prediction.reason == "fallback":
        return "The model that was drawn is off; this one answered in its place."
    return f"Reason given by the API: {prediction.reason}."


def off_sentence(config: Config) -> str | None:
    """Return which models are unavailable, why, and which one answers instead; None if all are up."""
    off = [
        f"Model {version} is off ({(arm.reason or 'no reason given').rstrip('.')})."
        for version, arm in config.models.items()
        if not arm.up
    ]
    if not off:
        return None
    # A model with weight 0 never replaces another.
    answering = [version for version, arm in config.models.items() if arm.up and config.split.get(version)]
    return " ".join(
        [*off, f"{' and '.join(answering)} answers all requests." if answering else "No model can answer."]
    )


def drift_sentence(usage: Usage, config: Config) -> str:
    """Return the result of the drift test, or how many rows the window still needs."""
    if usage.drift_score is None:
        return f"Warming up: {usage.drift_rows} of {config.drift.minimum} rows."
    found = "finds drift; the Drift page says where" if usage.drift_found else "finds no drift"
    return f"The test over the latest {usage.drift_rows} rows {found}."


VERDICTS = {
    "collecting": "Collecting labels",
    "no_difference_yet": "No difference yet",
    "v1_better": "v1 is better",
    "v2_better": "v2 is better",
    "invalid": "Invalid",
}


def drift_verdict(drift: Drift) -> str:
    """Return the verdict of the drift test, with the quantities above their limits."""
    if drift.status == "warming_up":
        return f"Warming up: {drift.rows} of {drift.minimum} rows."
    if drift.status == "drifted":
        moved = [item.name for item in drift.features if item.drifted]
        moved += [f"answers of {item.name}" for item in drift.classes if item.drifted]
        if drift.joint and drift.joint.drifted:
            moved.append("the connection between features")
        return f"Drift over {drift.rows} rows: {', '.join(moved)}."
    if drift.status == "steady":
        return f"The latest {drift.rows} rows are like the training data."
    return "The API has no models to compare with."


def ratio_sentence(report: ExperimentReport) -> str:
    """Return whether the requests of each version match the split."""
    if report.ratio_broken:
        return f"The {report.ratio_checked:,} requests drawn by chance do not fall to the versions as the split says."
    return f"The {report.ratio_checked:,} requests drawn by chance fall to the versions as the split says."


def listed(values: Mapping[str, object]) -> str:
    """Return parameters or metrics for a table cell: "max depth 5 · accuracy 0.933 (0.81 to 0.98)".

    A mapping with value, low and high is a value with its interval.
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

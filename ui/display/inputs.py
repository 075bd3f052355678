"""Derive a slider from the range of a feature. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.api.answers import Feature

STEPS = 20
"""At least so many positions on a slider."""
MAX_COLUMNS = 4


@dataclass(frozen=True)
class Slider:
    """Arguments of st.slider. `low` and `high` contain the feature's range and are multiples of the step."""

    low: float
    high: float
    start: float
    step: float
    format: str


def slider(feature: Feature, last: float | None = None) -> Slider:
    """Return a slider over the feature's range with a power of ten as step, set to `last` or else to the mean."""
    # A range of no width (a constant feature) still needs two ends.
    spread = feature.max - feature.min or max(abs(feature.max), 1.0)
    exponent = math.floor(math.log10(spread / STEPS))
    step = 10.0**exponent
    digits = max(0, -exponent)
    low = round(math.floor(round(feature.min / step, 6)) * step, digits)
    high = round(math.ceil(round(feature.max / step, 6)) * step, digits)
    if high <= low:
        high = round(low + spread, digits)
    start = round(round((feature.mean if last is None else last) / step) * step, digits)
    return Slider(
        low=low,
        high=high,
        start=min(max(start, low), high),
        step=step,
        format=f"%.{digits}f" if digits <= 6 else "%.3e",
    )


def columns(count: int) -> int:
    """Return the number of sliders side by side."""
    return max(1, min(count, MAX_COLUMNS))

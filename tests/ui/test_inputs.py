from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ui.api.answers import Feature
from ui.display.inputs import MAX_COLUMNS, STEPS, Slider, columns, slider


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (Feature("a", 4.3, 7.9, 5.843), Slider(4.3, 7.9, 5.8, 0.1, "%.1f")),
        (Feature("a", 0.0, 100.0, 41.7), Slider(0.0, 100.0, 42.0, 1.0, "%.0f")),
        (Feature("a", 0.021, 0.4, 0.1), Slider(0.02, 0.4, 0.1, 0.01, "%.2f")),
        (Feature("a", -250.0, 950.0, 12.0), Slider(-250.0, 950.0, 10.0, 10.0, "%.0f")),
    ],
)
def test_a_slider_spans_the_training_range_in_round_steps(feature: Feature, expected: Slider) -> None:
    assert slider(feature) == expected


@pytest.mark.parametrize("value", [0.0, 3.0, -7.5])
def test_a_feature_that_never_varies_still_has_a_slider(value: float) -> None:
    made = slider(Feature("a", value, value, value))
    assert made.low <= made.start <= made.high
    assert made.low < made.high


def test_the_last_value_is_where_the_slider_starts() -> None:
    assert slider(Feature("a", 4.3, 7.9, 5.843), last=6.4).start == 6.4


def test_a_last_value_of_another_range_is_brought_inside() -> None:
    assert slider(Feature("a", 4.3, 7.9, 5.843), last=64.0).start == 7.9


@given(low=some.floats(-1e9, 1e9), width=some.floats(1e-3, 1e9), part=some.floats(0, 1))
def test_any_range_lies_inside_its_slider(low: float, width: float, part: float) -> None:
    high = low + width
    made = slider(Feature("a", low, high, min(high, low + part * width)))
    assert made.low <= made.start <= made.high
    # At a thousand millions a double's neighbours lie further apart than a thousandth of a step.
    rounding = max(made.step / 1000, 2 * math.ulp(max(abs(low), abs(high))))
    assert made.low <= low + rounding
    assert made.high >= high - rounding
    assert (made.high - made.low) / made.step >= STEPS * 0.999


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (3, 3), (4, MAX_COLUMNS), (30, MAX_COLUMNS)])
def test_sliders_stand_side_by_side_up_to_a_limit(count: int, expected: int) -> None:
    assert columns(count) == expected

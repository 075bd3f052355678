from __future__ import annotations

import math
import random

import pytest

from app.traffic.routing import FALLBACK, SPLIT, Choice, Split

BOTH = frozenset({"v1", "v2"})


@pytest.mark.parametrize("weights", [(50, 50), (90, 10), (99, 1), (1, 2), (100, 100)])
def test_the_share_of_an_arm_is_within_binomial_bounds(weights: tuple[int, int]) -> None:
    split = Split("v1", "v2", *weights, up=BOTH)
    draw = random.Random(7)  # noqa: S311 - a fixed sequence is the point
    n = 20_000
    hits = sum(split.choose(draw.random()) == Choice("v1", SPLIT) for _ in range(n))
    share = weights[0] / sum(weights)
    # 3.9 standard deviations: one false alarm in ten thousand.
    assert abs(hits - n * share) <= 3.9 * math.sqrt(n * share * (1 - share))


@pytest.mark.parametrize(("weights", "only"), [((0, 100), "v2"), ((100, 0), "v1"), ((1, 0), "v1")])
def test_an_arm_of_weight_zero_never_answers(weights: tuple[int, int], only: str) -> None:
    split = Split("v1", "v2", *weights, up=BOTH)
    draws = [0.0, 5e-324, 0.5, math.nextafter(1.0, 0.0)]
    assert {split.choose(draw) for draw in draws} == {Choice(only, SPLIT)}


def test_draws_map_to_arms_as_the_documented_dice_do() -> None:
    split = Split("v1", "v2", 70, 30, up=BOTH)
    for roll in range(1, 101):
        choice = split.choose((roll - 1) / 100)
        assert choice is not None
        assert choice.version == ("v1" if roll <= 70 else "v2")


def test_an_arm_that_is_off_gives_its_traffic_to_the_other() -> None:
    split = Split("v1", "v2", 50, 50, up=frozenset({"v2"}))
    assert split.choose(0.1) == Choice("v2", FALLBACK)
    assert split.choose(0.9) == Choice("v2", SPLIT)
    assert split.serving == {"v1": 0.0, "v2": 1.0}
    assert split.configured == {"v1": 0.5, "v2": 0.5}


def test_an_arm_of_weight_zero_does_not_stand_in_for_one_that_is_off() -> None:
    split = Split("v1", "v2", 0, 100, up=frozenset({"v1"}))
    assert split.choose(0.5) is None
    assert split.serving == {"v1": 0.0, "v2": 0.0}


def test_nothing_answers_when_both_are_off() -> None:
    assert Split("v1", "v2", 50, 50, up=frozenset()).choose(0.5) is None

from __future__ import annotations

import numpy as np
import pytest

from app.drift.score import MINIMUM, THRESHOLD, WINDOW, drift_score
from app.training.data import iris


def test_the_score_is_the_documented_formula() -> None:
    rows = np.random.default_rng(3).normal([1.0, 20.0], [2.0, 0.5], (100, 2))
    training_mean, training_std = [1.2, 19.9], [2.5, 0.6]
    expected = 0.0
    for column, mean, std in zip(rows.T, training_mean, training_std, strict=True):
        values = column.tolist()
        current_mean = sum(values) / len(values)
        current_std = (sum((v - current_mean) ** 2 for v in values) / len(values)) ** 0.5
        mean_diff = abs(current_mean - mean) / std
        std_diff = abs(current_std - std) / std
        expected += (mean_diff + std_diff) / 2 / 2
    assert drift_score(rows, training_mean, training_std) == pytest.approx(expected, rel=1e-9)
    assert 0.05 < expected < 0.3


def test_the_score_never_leaves_zero_to_one() -> None:
    training = np.random.default_rng(4).normal(5, 1, (200, 3))
    mean, std = training.mean(axis=0).tolist(), training.std(axis=0).tolist()
    assert drift_score(training, mean, std) == 0.0
    assert drift_score(training * 10, mean, std) == 1.0


@pytest.mark.parametrize("rows", [0, 1, MINIMUM - 1])
def test_there_is_no_score_on_a_small_window(rows: int) -> None:
    assert drift_score(np.ones((rows, 2)), [0.0, 0.0], [1.0, 1.0]) is None


def test_there_is_a_score_from_the_minimum_on() -> None:
    assert drift_score(np.ones((MINIMUM, 2)), [0.0, 0.0], [1.0, 1.0]) == 1.0


def test_a_feature_that_was_constant_counts_nothing_until_it_moves() -> None:
    rows = np.tile([[7.0, -1.0], [7.0, 1.0]], (20, 1))
    assert drift_score(rows, [7.0, 0.0], [0.0, 1.0]) == 0.0
    assert drift_score(rows, [7.1, 0.0], [0.0, 1.0]) == 1.0


def test_windows_of_training_rows_stay_under_the_threshold() -> None:
    data = iris()
    training = data.rows[data.training].astype(np.float64)
    random = np.random.default_rng(5)
    windows = [training[random.integers(0, len(training), WINDOW)] for _ in range(500)]
    scores = [drift_score(window, training.mean(axis=0), training.std(axis=0)) for window in windows]
    assert max(score for score in scores if score is not None) < THRESHOLD

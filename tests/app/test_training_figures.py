from __future__ import annotations

import numpy as np
import pytest

from app.training.evaluation import balanced_accuracy, macro_f1
from app.training.intervals import likely_tables, stratified_mean_interval, wilson_interval


def test_wilsons_interval_is_the_published_one_and_stays_in_bounds() -> None:
    low, high = wilson_interval(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(30, 30)[1] == 1.0
    assert wilson_interval(0, 30)[0] == 0.0


def test_a_mean_lies_in_its_interval_which_is_as_wide_as_its_standard_error() -> None:
    values = np.arange(100.0)
    low, high = stratified_mean_interval(values, np.zeros(100, dtype=np.int64), seed=1)
    assert low < 49.5 < high
    assert high - low == pytest.approx(4 * 28.9 / 10, rel=0.1)


def test_what_lies_between_the_classes_is_no_uncertainty_of_a_stratified_mean() -> None:
    labels = np.repeat([0, 1], 50)
    assert stratified_mean_interval(labels * 100.0, labels, seed=1) == (50.0, 50.0)


def test_balanced_accuracy_and_f1_of_a_table_worked_by_hand() -> None:
    table = np.array([[[8, 2], [0, 30]]])
    assert balanced_accuracy(table)[0] == pytest.approx((0.8 + 1.0) / 2)
    assert macro_f1(table)[0] == pytest.approx((16 / 18 + 60 / 62) / 2)


def test_a_model_without_an_error_on_few_rows_is_not_certain_to_make_none() -> None:
    likely = likely_tables(np.array([[10, 0, 0], [0, 10, 0], [0, 0, 10]]), seed=1)
    low, high = np.quantile(balanced_accuracy(likely), [0.025, 0.975])
    assert 0.75 < low < 0.95
    assert high > 0.99


def test_likely_tables_hold_the_true_recall_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    held = 0
    for trial in range(300):
        found = random.binomial(20, [0.9, 0.7])
        likely = likely_tables(np.array([[found[0], 20 - found[0]], [20 - found[1], found[1]]]), seed=trial)
        low, high = np.quantile(balanced_accuracy(likely), [0.025, 0.975])
        held += low <= 0.8 <= high
    print(f"the true balanced accuracy lies in {held / 300:.1%} of 300 intervals of 95 %")
    assert 0.91 <= held / 300 <= 0.99

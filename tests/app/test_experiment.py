"""The experiment's statistics. The figures are printed: run with -s to see them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.experiment.e_process import CHANCES, fewest_wins, log_ratio_mismatch, log_superiority
from app.experiment.experiment import (
    NEEDED,
    RATIO_ALPHA,
    ArmCounts,
    Assigned,
    Experiment,
    Labelled,
    Observations,
    judge,
)

QUIET = ArmCounts(answered=100, errors=0, latency_p50=0.001, latency_p95=0.002, latency_p99=0.003)
RUNS = 1000


def seen(**changes: object) -> Observations:
    fields: dict[str, object] = {
        "arms": {"v1": QUIET, "v2": QUIET},
        "compared": 200,
        "disagreed": 20,
        "labelled": {"v1": Labelled(), "v2": Labelled()},
        "assigned": [Assigned((100, 100), (0.5, 0.5))],
    }
    return Observations(**(fields | changes))  # type: ignore[arg-type]


def labelled(v1: int, v2: int, **others: int) -> Experiment:
    return judge(seen(labelled={"v1": Labelled(only_v1=v1, only_v2=v2, **others), "v2": Labelled()}))


def looks(chance: float, labels: int, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Evidence for v2 and for v1 after every label, shape (runs, labels), when v2 is right with this chance."""
    wins = np.cumsum(np.random.default_rng(seed).random((runs, labels)) < chance, axis=1)
    losses = np.arange(1, labels + 1) - wins
    # What the evidence is depends on the two counts alone.
    most = labels + 1
    table = np.concatenate(
        [log_superiority(np.full(most, won), np.arange(most))[np.newaxis] for won in range(most)]
    )
    return table[wins, losses], table[losses, wins]


def test_models_without_a_difference_are_told_apart_in_one_of_twenty_runs_at_most() -> None:
    better, worse = looks(0.5, 1000, RUNS, seed=1)
    winners = ((better >= math.log(NEEDED)) | (worse >= math.log(NEEDED))).any(axis=1).mean()
    print(f"A/A: a winner in {winners:.1%} of {RUNS} runs of 1,000 labels with a look after every label")
    assert winners <= 0.05


@pytest.mark.parametrize(("chance", "most"), [(0.8, 25), (0.7, 60), (0.6, 260)])
def test_a_better_model_is_found_with_few_disagreements(chance: float, most: int) -> None:
    better, worse = looks(chance, 1000, RUNS, seed=2)
    found = better >= math.log(NEEDED)
    first = np.where(found.any(axis=1), found.argmax(axis=1) + 1, np.inf)
    wrong = (worse >= math.log(NEEDED)).any(axis=1).mean()
    print(
        f"v2 right in {chance:.0%} of disagreements: decided after a median of {np.median(first):g}, "
        f"wrongly in {wrong:.1%} of {RUNS} runs"
    )
    assert np.median(first) <= most
    assert wrong <= 0.025


def test_evidence_expects_no_gain_where_there_is_no_difference() -> None:
    """The defining property, exactly: the mean over all outcomes of the next label is no more than now."""
    for wins, losses in [(0, 0), (5, 0), (3, 9), (40, 38)]:
        now = math.exp(log_superiority(wins, losses))
        after = math.exp(log_superiority(wins + 1, losses)) + math.exp(log_superiority(wins, losses + 1))
        assert after / 2 == pytest.approx(now)


def test_evidence_is_the_mean_of_the_likelihood_ratios() -> None:
    by_hand = np.mean([(2 * chance) ** 7 * (2 * (1 - chance)) ** 2 for chance in CHANCES])
    assert math.exp(log_superiority(7, 2)) == pytest.approx(by_hand)


def test_no_verdict_is_possible_below_the_fewest_wins() -> None:
    fewest = fewest_wins(NEEDED)
    assert labelled(0, fewest).verdict == "v2_better"
    assert labelled(fewest, 0).verdict == "v1_better"
    assert labelled(0, fewest - 1).verdict == "collecting"
    assert f"{fewest} at least are needed" in labelled(0, fewest - 1).reason
    assert labelled(fewest, fewest).verdict == "no_difference_yet"


def test_rows_on_which_both_are_right_or_both_are_wrong_say_nothing() -> None:
    assert labelled(2, 6, both_right=1000, both_wrong=50).superiority == labelled(2, 6).superiority


def test_the_verdict_holds_both_arms_labels_and_shows_them_apart() -> None:
    report = judge(seen(labelled={"v1": Labelled(only_v2=8, both_right=1), "v2": Labelled(only_v2=8)}))
    assert report.verdict == "v2_better"
    assert report.labelled == Labelled(only_v2=16, both_right=1)
    assert report.labelled_after["v1"].rows == 9
    assert "v1 was right on 0 and v2 on 16" in report.reason


def test_a_split_that_works_is_called_broken_in_one_of_a_thousand_runs_at_most() -> None:
    random = np.random.default_rng(3)
    broken = 0
    for _ in range(RUNS):
        second = np.cumsum(random.random(1000) < 0.1)
        broken += any(
            log_ratio_mismatch((look - int(second[look - 1]), int(second[look - 1])), (0.9, 0.1))
            >= -math.log(RATIO_ALPHA)
            for look in range(20, 1001, 20)
        )
    print(f"a 90/10 split that works: called broken in {broken} of {RUNS} runs, looked at every 20 of 1,000")
    assert broken / RUNS <= 0.003


@pytest.mark.parametrize(("real", "requests"), [(0.56, 3000), (0.75, 200)])
def test_a_sample_ratio_that_is_off_is_flagged(real: float, requests: int) -> None:
    random = np.random.default_rng(4)
    flagged = 0
    for _ in range(200):
        first = int(random.binomial(requests, real))
        flagged += (
            judge(seen(assigned=[Assigned((first, requests - first), (0.5, 0.5))])).verdict == "invalid"
        )
    print(
        f"50/50 split that gives v1 {real:.0%}: flagged in {flagged / 200:.0%} of runs of {requests} requests"
    )
    assert flagged / 200 >= 0.95


def test_a_broken_split_makes_the_experiment_invalid_whatever_the_labels_say() -> None:
    report = judge(
        seen(
            assigned=[Assigned((900, 100), (0.5, 0.5))],
            labelled={"v1": Labelled(only_v2=50), "v2": Labelled()},
        )
    )
    assert report.verdict == "invalid"
    assert report.sample_ratio.broken
    assert "the 1000 random assignments do not follow the split" in report.reason


def test_each_split_is_held_against_its_own_shares() -> None:
    kept = [Assigned((500, 500), (0.5, 0.5)), Assigned((90, 10), (0.9, 0.1))]
    assert not judge(seen(assigned=kept)).sample_ratio.broken
    turned = [Assigned((500, 500), (0.9, 0.1)), Assigned((90, 10), (0.5, 0.5))]
    assert judge(seen(assigned=turned)).sample_ratio.broken


def test_a_request_on_an_arm_without_traffic_breaks_the_split() -> None:
    report = judge(seen(assigned=[Assigned((99, 1), (1.0, 0.0))]))
    assert (report.verdict, report.sample_ratio.evidence) == ("invalid", None)
    assert not judge(seen(assigned=[Assigned((99, 0), (1.0, 0.0))])).sample_ratio.broken


def test_a_copy_of_a_model_is_no_second_model() -> None:
    report = judge(seen(same_model=True))
    assert report.verdict == "invalid"
    assert "the same file" in report.reason


def test_before_the_first_request_it_is_collecting() -> None:
    report = judge(seen(arms={}, compared=0, disagreed=0, assigned=[], labelled={}))
    assert (report.verdict, report.disagreement_rate) == ("collecting", None)
    assert (report.superiority.evidence_v1, report.sample_ratio.evidence) == (1.0, 1.0)


def test_disagreement_is_a_share_of_the_rows_that_both_scored() -> None:
    assert judge(seen()).disagreement_rate == 0.1


def test_evidence_beyond_all_numbers_is_still_json() -> None:
    assert labelled(0, 5000).superiority.evidence_v2 < math.inf

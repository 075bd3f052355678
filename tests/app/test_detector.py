"""The drift test on windows with and without drift. The figures are printed: run with -s to see them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_breast_cancer, load_iris

from app.drift.detector import DRIFTED, WARMING_UP, Detector
from app.drift.distances import correlations, distribution_distances, joint_distance, ranks
from app.drift.score import WINDOW
from app.inference.models import PROBABILITIES
from app.manifest import Catalogue, Reference
from app.training.assemble import train
from app.training.data import split
from app.training.limits import SIZES, bootstrap_limits, strongest_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.drift.detector import Verdict
    from app.drift.distances import Matrix
    from app.training.data import Labels

pytestmark = pytest.mark.process

SETS = {"iris": load_iris, "breast cancer": load_breast_cancer}
WINDOWS = 1000


class Subject:
    """A detector with the rows and the model it belongs to."""

    def __init__(self, name: str) -> None:
        data = SETS[name]()
        self.data = split(
            source=name,
            label="class",
            feature_names=[str(feature) for feature in data.feature_names],
            classes=[str(label) for label in data.target_names],
            rows=data.data.astype(np.float32),
            labels=data.target.astype(np.int64),
        )
        files, manifest = train(self.data)
        self.reference = msgspec.json.decode(files["reference.json"], type=Reference)
        self.detector = Detector(Catalogue(manifest, self.reference, ""))
        self.random = np.random.default_rng(11)
        self._session = onnxruntime.InferenceSession(files["model_v2.onnx"])
        self._answers = self._answered(self.data.rows)

    def window(self, size: int) -> Matrix:
        """Training rows, drawn with replacement."""
        pool = self.data.training_rows
        return pool[self.random.integers(0, len(pool), size)].copy()

    def test(self, rows: Matrix) -> Verdict:
        """The verdict on these rows as v2 answers them."""
        return self.detector.test(rows, self._answered(rows).tolist(), ["v2"] * len(rows))

    def false_alarms(self, size: int, *, of_training: bool, windows: int) -> int:
        """How many of so many windows without drift pass as drifted."""
        pool = self.data.training if of_training else np.arange(len(self.data.rows))
        alarms = 0
        for _ in range(windows):
            chosen = pool[self.random.integers(0, len(pool), size)]
            verdict = self.detector.test(
                self.data.rows[chosen], self._answers[chosen].tolist(), ["v2"] * size
            )
            alarms += verdict.status == DRIFTED
        return alarms

    def share_drifted(self, change: Callable[[Matrix], None], windows: int) -> float:
        """In which share of windows of full size a change is seen."""
        seen = 0
        for _ in range(windows):
            rows = self.window(WINDOW)
            change(rows)
            seen += self.test(rows).status == DRIFTED
        return seen / windows

    def _answered(self, rows: Matrix) -> Labels:
        chances = self._session.run(None, {"features": rows})[PROBABILITIES]
        answers: Labels = chances.argmax(axis=1)
        return answers


@cache
def subject_of(name: str) -> Subject:
    return Subject(name)


@pytest.fixture(scope="module", params=list(SETS))
def subject(request: pytest.FixtureRequest) -> Subject:
    return subject_of(request.param)


@pytest.fixture(scope="module")
def iris() -> Subject:
    return subject_of("iris")


@pytest.mark.parametrize(
    ("size", "of_training"),
    [(50, True), (WINDOW, True), (WINDOW, False)],
    ids=["50 training rows", f"{WINDOW} training rows", f"{WINDOW} rows, held out ones among them"],
)
def test_windows_without_drift_pass_as_drifted_in_one_of_a_hundred_at_most(
    size: int, of_training: bool, subject: Subject
) -> None:
    false = subject.false_alarms(size, of_training=of_training, windows=WINDOWS)
    print(f"{subject.data.source}, windows of {size}: {false} false alarms in {WINDOWS}")
    assert false / WINDOWS <= 0.01


def test_new_rows_of_the_same_population_pass_as_drifted_in_one_of_a_hundred_windows_at_most() -> None:
    """The reference is itself a sample: limits made for its own rows alone would fail here."""
    random = np.random.default_rng(12)
    mix = random.normal(size=(5, 5))
    false = windows = 0
    for _ in range(25):
        sample = (random.normal(size=(120, 5)) @ mix).astype(np.float32)
        pairs = strongest_pairs(sample)
        answers = (sample[:, 0] > 0).astype(np.int64)
        limits = bootstrap_limits(sample, pairs, {"v1": answers}, 2, sizes=[WINDOW]).windows[-1]
        ordered = np.sort(sample, axis=0)
        expected = correlations(ranks(ordered, sample), pairs)
        for _ in range(80):
            rows = (random.normal(size=(WINDOW, 5)) @ mix).astype(np.float32)
            moved = abs((rows[:, 0] > 0).mean() - answers.mean())
            together = joint_distance(correlations(ranks(ordered, rows), pairs), expected)
            false += bool(
                (distribution_distances(ordered, rows) > limits.features).any()
                or moved > limits.classes[0]
                or together > limits.joint
            )
            windows += 1
    print(f"new rows of the same population: {false} false alarms in {windows} windows")
    assert false / windows <= 0.01


def test_one_feature_that_moves_by_its_spread_is_caught(subject: Subject) -> None:
    spread = subject.data.training_rows.std(axis=0)
    found = {}
    for column, name in enumerate(subject.data.feature_names):

        def move(rows: Matrix, column: int = column) -> None:
            rows[:, column] += spread[column]

        found[name] = subject.share_drifted(move, 20)
    print(f"{subject.data.source}, +1 sd in one feature: caught in {min(found.values()):.1%} at the least")
    assert min(found.values()) >= 0.95


def test_columns_that_no_longer_go_together_are_caught(subject: Subject) -> None:
    def shuffle(rows: Matrix) -> None:
        for column in range(rows.shape[1]):
            rows[:, column] = subject.random.permutation(rows[:, column])

    seen = subject.share_drifted(shuffle, 100)
    print(f"{subject.data.source}, columns permuted: caught in {seen:.1%} of 100 windows")
    assert seen >= 0.95


def test_two_columns_in_each_others_place_are_caught(subject: Subject) -> None:
    def swap(rows: Matrix) -> None:
        rows[:, [0, 1]] = rows[:, [1, 0]]

    assert subject.share_drifted(swap, 40) >= 0.95


def test_millimetres_for_centimetres_are_caught_and_named(iris: Subject) -> None:
    rows = iris.window(WINDOW)
    rows[:, 2] *= 10
    verdict = iris.test(rows)
    assert verdict.status == DRIFTED
    assert verdict.features[2].drifted
    assert [finding.name for finding in verdict.features if finding.drifted] == ["petal length (cm)"]
    assert verdict.features[2].ratio > 2


def test_answers_that_shift_to_one_class_are_caught_in_that_class(iris: Subject) -> None:
    setosa = iris.data.training_rows[iris.data.training_labels == 0]
    rows = np.concatenate([iris.window(100), setosa[iris.random.integers(0, len(setosa), 100)]])
    verdict = iris.test(rows)
    assert {finding.name for finding in verdict.classes if finding.drifted} >= {"setosa"}
    assert verdict.shares[0] == pytest.approx(verdict.expected_shares[0] + verdict.classes[0].distance)


def test_thirty_clicks_on_the_default_sliders_are_silent(iris: Subject) -> None:
    clicks = np.repeat([[5.8, 3.0, 3.8, 1.2]], 30, axis=0).astype(np.float32)
    assert iris.test(clicks).status == WARMING_UP
    alarms = sum(
        iris.test(np.concatenate([iris.window(WINDOW - 30), clicks])).status == DRIFTED for _ in range(200)
    )
    print(f"30 equal clicks among {WINDOW - 30} rows without drift: {alarms} alarms in 200 windows")
    assert alarms <= 2


def test_a_short_window_has_no_verdict(iris: Subject) -> None:
    assert iris.detector.minimum == SIZES[0]
    assert iris.test(iris.window(SIZES[0] - 1)).status == WARMING_UP
    assert iris.test(iris.window(SIZES[0])).findings
    assert iris.detector.test(np.empty((0, 4), dtype=np.float32), [], []).rows == 0


def test_a_window_between_two_sizes_has_the_wider_limit(iris: Subject) -> None:
    assert [f.limit for f in iris.test(iris.window(99)).features] == [
        f.limit for f in iris.test(iris.window(75)).features
    ]


def test_equal_values_are_equal_whatever_way_they_came(iris: Subject) -> None:
    """Iris has many equal values; 5.1 as a double is not 5.1 as a float."""
    rows = np.array([[float(str(value)) for value in row] for row in iris.data.training_rows])
    verdict = iris.test(rows.astype(np.float32))
    assert [finding.distance for finding in verdict.features] == [0.0] * 4
    assert verdict.joint is not None
    assert verdict.joint.distance == pytest.approx(0.0, abs=1e-6)


def test_the_mix_of_the_arms_decides_what_is_expected(iris: Subject) -> None:
    rows = iris.window(100)
    shares = iris.reference.predicted_shares
    verdict = iris.detector.test(rows, [0] * 100, ["v1"] * 25 + ["v2"] * 75)
    assert verdict.expected_shares[1] == pytest.approx(
        0.25 * shares["v1"]["versicolor"] + 0.75 * shares["v2"]["versicolor"]
    )


def test_a_feature_that_was_constant_is_silent_until_it_moves() -> None:
    random = np.random.default_rng(13)
    sample = np.column_stack([random.normal(size=100), np.full(100, 7.0)]).astype(np.float32)
    pairs = strongest_pairs(sample)
    answers = np.repeat([0, 1], 50)
    limits = bootstrap_limits(sample, pairs, {"v1": answers}, 2, sizes=[WINDOW]).windows[-1]
    ordered = np.sort(sample, axis=0)
    same, moved = np.repeat(sample, 2, axis=0), np.repeat(sample, 2, axis=0)
    moved[:, 1] = 7.1
    assert distribution_distances(ordered, same)[1] <= limits.features[1]
    assert distribution_distances(ordered, moved)[1] > limits.features[1]


def test_a_single_feature_has_no_joint_check() -> None:
    sample = np.random.default_rng(14).normal(size=(100, 1)).astype(np.float32)
    pairs = strongest_pairs(sample)
    assert pairs.shape == (0, 2)
    assert (
        bootstrap_limits(sample, pairs, {"v1": np.repeat([0, 1], 50)}, 2, sizes=[WINDOW]).windows[-1].joint
        > 0
    )


def test_distances_are_the_ones_worked_by_hand() -> None:
    reference = np.array([[1.0], [2.0], [3.0], [4.0]], dtype=np.float32)
    rows = np.array([[2.0], [2.0], [9.0], [9.0]], dtype=np.float32)
    assert distribution_distances(reference, rows).tolist() == [0.5]
    assert ranks(reference, np.array([[0.0], [2.0], [2.5], [9.0]], dtype=np.float32))[:, 0].tolist() == [
        0.0,
        0.375,
        0.5,
        1.0,
    ]
    line = np.array([[0.0, 0.0, 5.0], [1.0, -1.0, 5.0], [2.0, -2.0, 5.0]])
    assert correlations(line, np.array([[0, 1], [0, 2]])).tolist() == pytest.approx([-1.0, 0.0])

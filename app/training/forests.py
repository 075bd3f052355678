"""Fit the two forests with scikit-learn, convert them to ONNX, compare the two row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.inference.argmax import TIE
from app.training.data import SEED, DataSet, Matrix
from app.training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sklearn.ensemble import RandomForestClassifier

    from app.manifest import FeatureSpec, Params

FORESTS: Mapping[str, Mapping[str, int]] = {
    "v1": {"n_estimators": 50, "max_depth": 5, "random_state": 1},
    "v2": {"n_estimators": 100, "max_depth": 7, "random_state": 2},
}
DRAWN_ROWS = 100_000
"""Random rows, beside those of the data set, on which a forest and its ONNX file must agree."""
TOLERANCE = 1e-5
_AT_ONCE = 20_000

Chances = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A forest and its out-of-bag predictions."""

    forest: RandomForestClassifier
    out_of_bag: Chances
    """Probabilities of each training row by the trees without it in their sample, shape (rows, classes)."""


def fit(data: DataSet, params: Mapping[str, int]) -> Fitted:
    """Fit a forest on the training rows, deterministically."""
    from sklearn.ensemble import RandomForestClassifier

    # With more jobs the order of the sum of the trees' votes would vary.
    forest = RandomForestClassifier(**params, n_jobs=1, oob_score=True)
    forest.fit(data.training_rows, data.training_labels)
    return Fitted(forest, np.asarray(forest.oob_decision_function_, dtype=np.float64))


def to_onnx(forest: RandomForestClassifier, version: str, features: int) -> bytes:
    """Return the forest as an ONNX file. Input: float matrix; outputs: label and probabilities."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    model = convert_sklearn(
        forest,
        # The converter's default name is random, and the bytes would differ between runs.
        name=f"onebox-{version}",
        initial_types=[("features", FloatTensorType([None, features]))],
        options={id(forest): {"zipmap": False}},
    )
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def drawn_rows(specs: Sequence[FeatureSpec], count: int = DRAWN_ROWS) -> Matrix:
    """Return random rows: half within the training range, half within the accepted range."""
    random = np.random.default_rng(SEED)
    inner = random.uniform([s.min for s in specs], [s.max for s in specs], (count // 2, len(specs)))
    outer = random.uniform(
        [s.accept_min for s in specs], [s.accept_max for s in specs], (count - count // 2, len(specs))
    )
    return np.concatenate([inner, outer]).astype(np.float32)


def most_likely_of_rows(chances: Chances) -> NDArray[np.intp]:
    """Return `app.inference.argmax.most_likely` of each row."""
    near: NDArray[np.bool_] = chances >= chances.max(axis=1, keepdims=True) - TIE
    first: NDArray[np.intp] = near.argmax(axis=1)
    return first


def require_agreement(version: str, forest: RandomForestClassifier, content: bytes, rows: Matrix) -> None:
    """Raise TrainingError unless the ONNX file gives the forest's label, and its probabilities within TOLERANCE.

    The label is the one that the API serves (`argmax.most_likely`). Where the forest itself has two classes
    with equally many votes, so that rounding decides in `predict`, the first of them is the forest's label.
    """
    import onnxruntime

    from app.inference.models import PROBABILITIES

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    different, distance = 0, 0.0
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        chances = session.run(None, {name: part})[PROBABILITIES]
        expected = forest.predict_proba(part)
        distance = max(distance, float(np.abs(chances - expected).max()))
        labels = expected.argmax(axis=1)
        tied = (expected >= expected.max(axis=1, keepdims=True) - TIE).sum(axis=1) > 1
        labels[tied] = most_likely_of_rows(expected[tied])
        different += int(np.count_nonzero(most_likely_of_rows(chances) != labels))
    if different:
        raise TrainingError(
            f"the ONNX form of {version} gives another class than the forest on {different} of {len(rows)} rows"
        )
    if not distance < TOLERANCE:
        raise TrainingError(f"the ONNX form of {version} is off by {distance:.2g} in a probability")


def describe_params(params: Params) -> str:
    """Return hyperparameters as text, such as `n_estimators=50, max_depth=5`."""
    return ", ".join(f"{name}={value}" for name, value in params.items() if name != "random_state")

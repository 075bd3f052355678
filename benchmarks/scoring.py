"""One row through each model, as the document does it and as it is served."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROUNDS = 30
ROWS_A_ROUND = 20


def main() -> None:
    """one row, scikit-learn's predict_proba against the ONNX form, in turns"""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    from app.inference.models import load_models
    from app.training.assemble import train
    from app.training.data import iris
    from app.training.forests import FORESTS
    from app.training.publication import write

    data = iris()
    with tempfile.TemporaryDirectory() as directory:
        write(train(data)[0], Path(directory))
        arms = load_models(Path(directory)).arms
    rows = data.rows[:ROWS_A_ROUND]
    for version, params in FORESTS.items():
        forest = RandomForestClassifier(**params, n_jobs=1)
        forest.fit(data.rows[data.training], data.labels[data.training])
        arm = arms[version]
        served = _in_turns(
            partial(lambda forest, row: forest.predict_proba(np.asarray([row])), forest),
            arm.score,
            rows.tolist(),
        )
        print(
            f"  {version}: {served[0]:8.1f} us scikit-learn, {served[1]:6.1f} us served, ratio {served[2]:.0f}x"
        )


def _in_turns(
    one: Callable[[list[float]], object], other: Callable[[list[float]], object], rows: list[list[float]]
) -> tuple[float, float, float]:
    """Return the median microseconds per row of both, and the median of the rounds' ratios."""
    firsts, seconds = [], []
    for _ in range(ROUNDS):
        firsts.append(_microseconds(one, rows))
        seconds.append(_microseconds(other, rows))
    ratio = statistics.median(first / second for first, second in zip(firsts, seconds, strict=True))
    return statistics.median(firsts), statistics.median(seconds), ratio


def _microseconds(score: Callable[[list[float]], object], rows: list[list[float]]) -> float:
    began = time.perf_counter()
    for row in rows:
        score(row)
    return (time.perf_counter() - began) / len(rows) * 1e6

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from app import train_model
from app.inference.argmax import most_likely
from app.train_model import is_current
from app.training import assemble
from app.training.assemble import train
from app.training.data import iris
from app.training.errors import TrainingError
from app.training.forests import DRAWN_ROWS, FORESTS, most_likely_of_rows, require_agreement
from app.training.publication import write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

FILES = {"manifest.json", "model_card.md", "reference.json", "model_v1.onnx", "model_v2.onnx"}


def test_the_script_makes_the_same_bytes_again(root: Path, trained: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "app" / "train_model.py"), "--out", str(tmp_path / "again")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {path.name for path in (tmp_path / "again").iterdir()} == FILES
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (trained / name).read_bytes(), name
    assert "n_estimators=50, max_depth=5" in done.stdout
    assert "n_estimators=100, max_depth=7" in done.stdout


def test_the_manifest_names_every_file_by_its_content(trained: Path) -> None:
    manifest = json.loads((trained / "manifest.json").read_bytes())
    for entry in [*manifest["models"].values(), manifest["reference"]]:
        assert hashlib.sha256((trained / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert (
        manifest["data"]["training_rows"] + manifest["data"]["held_out_rows"]
        == manifest["data"]["rows"]
        == 150
    )
    assert (manifest["data"]["source"], manifest["data"]["label"]) == ("iris", "species")
    assert set(manifest["libraries"]) == {"numpy", "onnx", "scikit-learn", "skl2onnx", "python"}


def test_the_accepted_range_is_the_training_range_widened_ten_times(trained: Path) -> None:
    for feature in json.loads((trained / "manifest.json").read_bytes())["features"]:
        span = feature["max"] - feature["min"]
        assert feature["accept_min"] == pytest.approx(feature["min"] - 10 * span)
        assert feature["accept_max"] == pytest.approx(feature["max"] + 10 * span)


def test_the_reference_is_that_of_the_training_rows(trained: Path) -> None:
    data = iris()
    rows = data.rows[data.training].astype(np.float64)
    reference = json.loads((trained / "reference.json").read_bytes())
    assert [f["mean"] for f in reference["features"]] == pytest.approx(rows.mean(axis=0).tolist(), rel=1e-6)
    assert [f["std"] for f in reference["features"]] == pytest.approx(rows.std(axis=0).tolist(), rel=1e-6)
    assert [f["quantiles"]["0.5"] for f in reference["features"]] == pytest.approx(
        np.median(rows, axis=0).tolist(), rel=1e-6
    )
    assert reference["class_prior"] == pytest.approx(dict.fromkeys(data.classes, 1 / 3), rel=1e-6)


def test_others_may_read_the_artifacts(trained: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in trained.iterdir()} == {0o644}


def test_a_model_that_answers_otherwise_than_its_forest_is_not_let_through(trained: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    data = iris()
    forest = RandomForestClassifier(n_estimators=2, max_depth=1, random_state=0).fit(data.rows, data.labels)
    with pytest.raises(TrainingError, match=r"another class than the forest on [0-9]+ of 150 rows"):
        require_agreement("v1", forest, (trained / "model_v1.onnx").read_bytes(), data.rows)


def test_a_model_that_is_off_in_its_probabilities_is_not_let_through(trained: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    data = iris()
    forest = RandomForestClassifier(n_estimators=50, max_depth=5, random_state=9).fit(data.rows, data.labels)
    same_label = np.flatnonzero(
        forest.predict(data.rows)
        == RandomForestClassifier(**FORESTS["v1"])
        .fit(data.training_rows, data.training_labels)
        .predict(data.rows)
    )
    with pytest.raises(TrainingError, match=r"is off by .* in a probability"):
        require_agreement("v1", forest, (trained / "model_v1.onnx").read_bytes(), data.rows[same_label])


def test_agreement_is_tried_on_every_row_and_on_100_000_drawn_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(assemble, "require_agreement", lambda _v, _f, _c, rows: tried.append(len(rows)))
    _, manifest = train(iris())
    assert tried == [150 + DRAWN_ROWS] * 2
    assert DRAWN_ROWS == 100_000
    assert manifest.agreement_rows == 100_150


def test_nothing_is_written_when_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise TrainingError("no")

    monkeypatch.setattr(assemble, "require_agreement", refuse)
    assert train_model.main(["--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(TrainingError):
        train(iris())


def test_a_write_that_fails_leaves_no_part_and_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "in the way").touch()
    with pytest.raises(OSError, match="directory"):
        write({"manifest.json": b"m", "a": b"a", "b": b"b"}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize(
    ("chances", "index"),
    [([0.04, 0.47999993, 0.47999996], 1), ([0.1, 0.2, 0.7], 2), ([0.5, 0.5], 0), ([0.4, 0.4001, 0.1999], 1)],
)
def test_a_tie_goes_to_the_first_class(chances: list[float], index: int) -> None:
    assert most_likely(chances) == index


@pytest.mark.parametrize(
    "chances", [[[0.04, 0.47999993, 0.47999996], [0.1, 0.2, 0.7]], [[0.5, 0.5], [0.4999991, 0.5000009]]]
)
def test_many_rows_are_decided_as_one_is(chances: list[list[float]]) -> None:
    assert most_likely_of_rows(np.array(chances)).tolist() == [most_likely(row) for row in chances]


def test_whole_artifacts_of_these_forests_are_current(trained: Path) -> None:
    assert is_current(trained)


def test_artifacts_are_stale_when_missing_damaged_or_of_other_forests(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_current(tmp_path)
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model_v2.onnx").write_bytes(b"cut")
    assert not is_current(tmp_path)
    monkeypatch.setitem(
        cast("dict[str, Any]", FORESTS), "v1", {"n_estimators": 51, "max_depth": 5, "random_state": 1}
    )
    assert not is_current(trained)

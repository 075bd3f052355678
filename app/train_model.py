"""`python app/train_model.py`: train both forests, prove that their ONNX form answers alike, write the artifacts."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    # Run as a script, Python puts this folder first on the path, where `app` cannot be found.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.decision import most_likely
from app.errors import ArtifactsError
from app.evaluation import mean_interval, wilson_interval
from app.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Canary,
    DataEntry,
    Estimate,
    FeatureReference,
    FeatureSpec,
    FileEntry,
    Manifest,
    ModelEntry,
    Reference,
    read_catalogue,
    sha256,
)
from app.publication import table, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sklearn.ensemble import RandomForestClassifier

SEED = 20
FORESTS: Mapping[str, Mapping[str, int]] = {
    "v1": {"n_estimators": 50, "max_depth": 5, "random_state": 1},
    "v2": {"n_estimators": 100, "max_depth": 7, "random_state": 2},
}
HELD_OUT_SHARE = 0.2
BOX_ROWS = 20_000
WIDENING = 10.0
"""The accepted range reaches this many training ranges beyond the training range, on both sides."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
REFERENCE = "reference.json"
LIBRARIES = ("numpy", "onnx", "scikit-learn", "skl2onnx")

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]


class TrainingError(Exception):
    """A model came out that must not be served; nothing was written."""


@dataclass(frozen=True)
class DataSet:
    """Numeric rows with a class each, and their split."""

    feature_names: list[str]
    classes: list[str]
    rows: Matrix
    labels: Labels
    training: NDArray[np.intp]
    held_out: NDArray[np.intp]


def main(argv: list[str] | None = None) -> int:
    """Train, check, write, and print a table of what was made. 0 written, 1 refused."""
    parser = argparse.ArgumentParser(
        description="Train both models and write the artifacts that the API serves."
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parent / "artifacts", metavar="DIR"
    )
    parser.add_argument(
        "--if-stale", action="store_true", help="do nothing when DIR holds what this would make"
    )
    options = parser.parse_args(argv)
    out: Path = options.out
    if options.if_stale and is_current(out):
        print(f"{out} holds the current models")
        return 0
    try:
        files, manifest = train(iris())
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write(files, out)
    print(table(manifest, BOX_ROWS, out))
    return 0


def is_current(out: Path) -> bool:
    """Whether the directory holds whole artifacts of these forests, made with these libraries."""
    try:
        manifest = read_catalogue(out).manifest
        whole = all(
            sha256((out / entry.file).read_bytes()) == entry.sha256 for entry in manifest.models.values()
        )
    except (ArtifactsError, OSError):
        return False
    forests = {version: dict(entry.params) for version, entry in manifest.models.items()}
    return (
        whole and manifest.libraries == _libraries() and forests == {v: dict(p) for v, p in FORESTS.items()}
    )


def iris() -> DataSet:
    """The Iris data that scikit-learn ships, with a stratified split by a fixed seed."""
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    data = load_iris()
    labels = data.target.astype(np.int64)
    training, held_out = train_test_split(
        np.arange(len(labels)), test_size=HELD_OUT_SHARE, stratify=labels, random_state=SEED
    )
    return DataSet(
        feature_names=[str(name) for name in data.feature_names],
        classes=[str(name) for name in data.target_names],
        rows=data.data.astype(np.float32),
        labels=labels,
        training=np.sort(training),
        held_out=np.sort(held_out),
    )


def train(data: DataSet) -> tuple[dict[str, bytes], Manifest]:
    """Both forests, fitted on the training rows, as files by name; the manifest is the last of them.

    Raises TrainingError when an ONNX form answers otherwise than its forest on any row tried.
    """
    from sklearn.ensemble import RandomForestClassifier

    specs = _feature_specs(data)
    trial = np.concatenate([data.rows, _box_rows(specs)])
    files: dict[str, bytes] = {}
    entries: dict[str, ModelEntry] = {}
    for version, params in FORESTS.items():
        forest = RandomForestClassifier(**params, n_jobs=1)
        forest.fit(data.rows[data.training], data.labels[data.training])
        content = _to_onnx(forest, version, len(data.feature_names))
        require_agreement(version, forest, content, trial)
        name = f"model_{version}.onnx"
        files[name] = content
        entries[version] = ModelEntry(
            file=name,
            sha256=sha256(content),
            algorithm=type(forest).__name__,
            params=dict(params),
            metrics=_held_out_metrics(forest, data),
            canary=_canary(forest, data),
        )
    files[REFERENCE] = _json(_reference(data))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        features=specs,
        classes=data.classes,
        models=entries,
        reference=FileEntry(REFERENCE, sha256(files[REFERENCE])),
        data=DataEntry(
            sha256=sha256(data.rows.astype("<f4").tobytes() + data.labels.astype("<i8").tobytes()),
            rows=len(data.rows),
            training_rows=len(data.training),
            held_out_rows=len(data.held_out),
        ),
        libraries=_libraries(),
    )
    files[MANIFEST] = _json(manifest)
    return files, manifest


def require_agreement(version: str, forest: RandomForestClassifier, content: bytes, rows: Matrix) -> None:
    """Raise TrainingError unless the ONNX bytes give the forest's label, and nearly its probabilities, on every row."""
    import onnxruntime

    from app.models import PROBABILITIES

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    chances = session.run(None, {session.get_inputs()[0].name: rows})[PROBABILITIES]
    labels = np.array([most_likely(row) for row in chances.tolist()])
    expected = forest.predict_proba(rows)
    different = int(np.count_nonzero(labels != forest.predict(rows)))
    if different:
        raise TrainingError(
            f"the ONNX form of {version} gives another class than the forest on {different} of {len(rows)} rows"
        )
    distance = float(np.abs(chances - expected).max())
    if not distance < 1e-5:
        raise TrainingError(f"the ONNX form of {version} is off by {distance:.2g} in a probability")


def _libraries() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES} | {
        "python": platform.python_version()
    }


def _feature_specs(data: DataSet) -> list[FeatureSpec]:
    specs = []
    for name, column in zip(data.feature_names, data.rows[data.training].T, strict=True):
        low, high = _short(column.min()), _short(column.max())
        margin = WIDENING * (high - low)
        specs.append(FeatureSpec(name, low, high, _short(low - margin), _short(high + margin)))
    return specs


def _box_rows(specs: list[FeatureSpec]) -> Matrix:
    # Half of them where the forests' thresholds are, half over all that the API accepts.
    random = np.random.default_rng(SEED)
    inner = random.uniform([s.min for s in specs], [s.max for s in specs], (BOX_ROWS // 2, len(specs)))
    outer = random.uniform(
        [s.accept_min for s in specs], [s.accept_max for s in specs], (BOX_ROWS - BOX_ROWS // 2, len(specs))
    )
    return np.concatenate([inner, outer]).astype(np.float32)


def _to_onnx(forest: RandomForestClassifier, version: str, features: int) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    model = convert_sklearn(
        forest,
        # Without a name the converter makes a random one, and the bytes differ from run to run.
        name=f"onebox-{version}",
        initial_types=[("features", FloatTensorType([None, features]))],
        options={id(forest): {"zipmap": False}},
    )
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _held_out_metrics(forest: RandomForestClassifier, data: DataSet) -> dict[str, Estimate]:
    labels = data.labels[data.held_out]
    chances = forest.predict_proba(data.rows[data.held_out])
    right = int(np.count_nonzero(chances.argmax(axis=1) == labels))
    losses = -np.log(np.clip(chances[np.arange(len(labels)), labels], 1e-6, 1.0))
    return {
        "accuracy": _estimate(right / len(labels), wilson_interval(right, len(labels))),
        "log_loss": _estimate(float(losses.mean()), mean_interval(losses, seed=SEED)),
    }


def _estimate(value: float, interval: tuple[float, float]) -> Estimate:
    return Estimate(_short(value), _short(interval[0]), _short(interval[1]))


def _canary(forest: RandomForestClassifier, data: DataSet) -> Canary:
    # The row the forest is least sure of walks the most different paths.
    rows = data.rows[data.training]
    chances = forest.predict_proba(rows)
    least = int(chances.max(axis=1).argmin())
    return Canary(
        features=[_short(value) for value in rows[least]],
        prediction=most_likely(chances[least].tolist()),
        probabilities=[_short(value) for value in chances[least]],
    )


def _reference(data: DataSet) -> Reference:
    rows = data.rows[data.training].astype(np.float64)
    features = [
        FeatureReference(
            name=name,
            mean=_short(column.mean()),
            std=_short(column.std()),
            min=_short(column.min()),
            max=_short(column.max()),
            quantiles={f"{q:g}": _short(np.quantile(column, q)) for q in QUANTILES},
        )
        for name, column in zip(data.feature_names, rows.T, strict=True)
    ]
    counts = np.bincount(data.labels[data.training], minlength=len(data.classes))
    prior = {name: _short(count / len(rows)) for name, count in zip(data.classes, counts, strict=True)}
    return Reference(rows=len(rows), features=features, class_prior=prior)


def _short(value: Any) -> float:
    # Seven digits are what float32 holds; more would write 5.099999904632568 for 5.1.
    return float(f"{float(value):.7g}")


def _json(content: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.exit(main())

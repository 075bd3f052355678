"""Train on a data set and assemble the artifacts: models, training reference, manifest, model card."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from app.inference.argmax import most_likely
from app.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Canary,
    DataEntry,
    FeatureReference,
    FeatureSpec,
    FileEntry,
    Manifest,
    ModelEntry,
    Reference,
    sha256,
)
from app.training.card import CARD, model_card
from app.training.data import SEED
from app.training.digits import exact, short
from app.training.evaluation import held_out_metrics, held_out_recall
from app.training.forests import FORESTS, drawn_rows, fit, require_agreement, to_onnx
from app.training.limits import bootstrap_limits, strongest_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.training.data import DataSet, Labels
    from app.training.forests import Fitted

WIDENING = 10.0
"""The accepted range extends the training range by so many times its width on both sides."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
REFERENCE = "reference.json"
LIBRARIES = ("numpy", "onnx", "scikit-learn", "skl2onnx")
SAMPLE_ROWS = 1000
SAMPLE_CELLS = 100_000
LEAST_SAMPLE = 200
"""Fewest sample rows that SAMPLE_CELLS may enforce; SAMPLE_ROWS is the most."""


def train(data: DataSet) -> tuple[dict[str, bytes], Manifest]:
    """Fit both forests on the training rows; return all artifacts by file name, and the manifest.

    The same data and libraries give the same bytes. Raise TrainingError where an ONNX file and its forest disagree on a
    row of the data set or one of 100,000 random rows.
    """
    specs = _feature_specs(data)
    trial = np.concatenate([data.rows, drawn_rows(specs)])
    sample = _sample(data)
    files: dict[str, bytes] = {}
    entries: dict[str, ModelEntry] = {}
    answers: dict[str, Labels] = {}
    for version, params in FORESTS.items():
        fitted = fit(data, params)
        content = to_onnx(fitted.forest, version, len(data.feature_names))
        require_agreement(version, fitted.forest, content, trial)
        name = f"model_{version}.onnx"
        files[name] = content
        entries[version] = ModelEntry(
            file=name,
            sha256=sha256(content),
            algorithm=type(fitted.forest).__name__,
            params=dict(params),
            metrics=held_out_metrics(fitted.forest, data),
            recall=held_out_recall(fitted.forest, data),
            canary=_canary(fitted, data),
        )
        # A row in the sample of every tree has no out-of-bag prediction: its label replaces it.
        seen_by_all = np.isnan(fitted.out_of_bag).any(axis=1)
        opinions = np.where(seen_by_all, data.training_labels, fitted.out_of_bag.argmax(axis=1))
        answers[version] = opinions[sample].astype(np.int64)
    rows = data.training_rows[sample]
    pairs = strongest_pairs(rows)
    reference = Reference(
        rows=len(data.training),
        features=_feature_references(data),
        class_prior=_shares(data, data.training_labels),
        predicted_shares={version: _shares(data, labels) for version, labels in answers.items()},
        sample=[[exact(value) for value in row] for row in rows],
        pairs=[(int(one), int(other)) for one, other in pairs],
    )
    files[REFERENCE] = _json(reference)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        features=specs,
        classes=data.classes,
        models=entries,
        reference=FileEntry(REFERENCE, sha256(files[REFERENCE])),
        data=DataEntry(
            source=data.source,
            label=data.label,
            sha256=data.sha256,
            rows=len(data.rows),
            training_rows=len(data.training),
            held_out_rows=len(data.held_out),
        ),
        agreement_rows=len(trial),
        drift=bootstrap_limits(rows, pairs, answers, len(data.classes)),
        libraries=libraries(),
    )
    files[CARD] = model_card(manifest, reference).encode()
    files[MANIFEST] = _json(manifest)
    return files, manifest


def libraries() -> dict[str, str]:
    """Return name -> version of the libraries that determine the bytes of a model."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES} | {
        "python": platform.python_version()
    }


def _feature_specs(data: DataSet) -> list[FeatureSpec]:
    specs = []
    for name, column in zip(data.feature_names, data.training_rows.T, strict=True):
        low, high = short(column.min()), short(column.max())
        # A column that is constant in training still accepts values around its value.
        margin = WIDENING * ((high - low) or max(abs(high), 1.0))
        specs.append(FeatureSpec(name, low, high, short(low - margin), short(high + margin)))
    return specs


def _sample(data: DataSet) -> NDArray[np.intp]:
    """Return positions among the training rows, sorted."""
    count = len(data.training)
    most = min(SAMPLE_ROWS, max(LEAST_SAMPLE, SAMPLE_CELLS // len(data.feature_names)))
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, most, replace=False))


def _canary(fitted: Fitted, data: DataSet) -> Canary:
    # The row with the least certain prediction reaches the most different leaves.
    rows = data.training_rows
    chances = fitted.forest.predict_proba(rows)
    least = int(chances.max(axis=1).argmin())
    return Canary(
        features=[exact(value) for value in rows[least]],
        prediction=most_likely(chances[least].tolist()),
        probabilities=[short(value) for value in chances[least]],
    )


def _feature_references(data: DataSet) -> list[FeatureReference]:
    return [
        FeatureReference(
            name=name,
            mean=short(column.mean()),
            std=short(column.std()),
            min=short(column.min()),
            max=short(column.max()),
            quantiles={f"{q:g}": short(np.quantile(column, q)) for q in QUANTILES},
        )
        for name, column in zip(data.feature_names, data.training_rows.astype(np.float64).T, strict=True)
    ]


def _shares(data: DataSet, labels: Labels) -> dict[str, float]:
    counts = np.bincount(labels, minlength=len(data.classes))
    return {name: short(count / len(labels)) for name, count in zip(data.classes, counts, strict=True)}


def _json(content: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2) + b"\n"

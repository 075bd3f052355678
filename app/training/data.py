"""Data sets: rows with a class each, split into training and held-out rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.manifest import sha256

SEED = 20
HELD_OUT_SHARE = 0.2

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class DataSet:
    """Numeric rows with a class each, and the split."""

    source: str
    """Name of the file, or of the data set of scikit-learn."""
    label: str
    """Name of the class column in the source."""
    feature_names: list[str]
    classes: list[str]
    rows: Matrix
    labels: Labels
    training: NDArray[np.intp]
    held_out: NDArray[np.intp]

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of values and classes, independent of the file format."""
        return sha256(self.rows.astype("<f4").tobytes() + self.labels.astype("<i8").tobytes())

    @property
    def training_rows(self) -> Matrix:
        """Return the rows for fitting, shape (rows, features)."""
        return self.rows[self.training]

    @property
    def training_labels(self) -> Labels:
        """Return the class index of each training row."""
        return self.labels[self.training]


def split(
    *, source: str, label: str, feature_names: list[str], classes: list[str], rows: Matrix, labels: Labels
) -> DataSet:
    """Return the data set with a fifth of each class held out, deterministically."""
    from sklearn.model_selection import train_test_split

    training, held_out = train_test_split(
        np.arange(len(labels)), test_size=HELD_OUT_SHARE, stratify=labels, random_state=SEED
    )
    return DataSet(
        source=source,
        label=label,
        feature_names=feature_names,
        classes=classes,
        rows=rows,
        labels=labels,
        training=np.sort(training),
        held_out=np.sort(held_out),
    )


def iris() -> DataSet:
    """Return the Iris data of scikit-learn, the default data set."""
    from sklearn.datasets import load_iris

    data = load_iris()
    return split(
        source="iris",
        label="species",
        feature_names=[str(name) for name in data.feature_names],
        classes=[str(name) for name in data.target_names],
        rows=data.data.astype(np.float32),
        labels=data.target.astype(np.int64),
    )

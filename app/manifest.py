"""Types and reader of the files between training and serving: manifest.json and reference.json."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from app.errors import ArtifactsError

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2
VERSIONS = ("v1", "v2")

Params = dict[str, bool | int | float | str | None]
"""Hyperparameters of a model."""


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature: its range in the training rows, and the wider range that /predict accepts."""

    name: str
    min: float
    max: float
    accept_min: float
    accept_max: float


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A held-out figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row and the model's answer to it in training; the loaded model must give the same before it takes traffic."""

    features: list[float]
    prediction: int
    probabilities: list[float]


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model: its file, its training and its held-out figures."""

    file: str
    sha256: str
    algorithm: str
    params: Params
    metrics: dict[str, Estimate]
    recall: dict[str, Estimate]
    """Class -> share of its held-out rows that were predicted right."""
    canary: Canary


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file beside the manifest and its digest."""

    file: str
    sha256: str


class DataEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data set, its digest and its split."""

    source: str
    label: str
    sha256: str
    rows: int
    training_rows: int
    held_out_rows: int


class WindowLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Largest distances from the training rows without drift, for windows of `rows` rows and more."""

    rows: int
    features: list[float]
    classes: list[float]
    joint: float


class DriftLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the drift test, calibrated with `replicates` windows for a false alarm rate of `alpha`."""

    alpha: float
    replicates: int
    windows: list[WindowLimits]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """manifest.json. It holds no timestamp: the same data and libraries give the same bytes."""

    schema_version: int
    features: list[FeatureSpec]
    classes: list[str]
    models: dict[str, ModelEntry]
    reference: FileEntry
    data: DataEntry
    agreement_rows: int
    """Rows on which every ONNX file agreed with its forest."""
    drift: DriftLimits
    libraries: dict[str, str]

    @property
    def feature_names(self) -> list[str]:
        """Return the names in the order of the values of a row."""
        return [feature.name for feature in self.features]


class FeatureReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Statistics of a feature in the training rows; std has the divisor n."""

    name: str
    mean: float
    std: float
    min: float
    max: float
    quantiles: dict[str, float]


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """reference.json: statistics and a sample of the training rows, the reference of the drift test."""

    rows: int
    features: list[FeatureReference]
    class_prior: dict[str, float]
    predicted_shares: dict[str, dict[str, float]]
    """Version -> class -> share of the sample that the model predicts (out of bag)."""
    sample: list[list[float]]
    """Training rows: all of them, or a fixed subset."""
    pairs: list[tuple[int, int]]
    """Positions of the pairs of features whose correlation the joint check tests."""


class Catalogue(msgspec.Struct, frozen=True):
    """A manifest and its reference."""

    manifest: Manifest
    reference: Reference
    sha256: str
    """SHA-256 of manifest.json. It identifies the models: the manifest holds the digests of all other files."""


def sha256(content: bytes) -> str:
    """Return the SHA-256 as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def read_catalogue(directory: Path) -> Catalogue:
    """Read manifest and reference of a models directory; raise ArtifactsError with the file that cannot be used."""
    path = directory / MANIFEST
    manifest_bytes = _content(path)
    try:
        manifest = msgspec.json.decode(manifest_bytes, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtifactsError(path, f"is not a manifest: {error}") from error
    why = _defect(manifest)
    if why:
        raise ArtifactsError(path, why)
    path = directory / manifest.reference.file
    content = _content(path)
    if sha256(content) != manifest.reference.sha256:
        raise ArtifactsError(path, "is not the file that the manifest names: its sha256 differs")
    try:
        reference = msgspec.json.decode(content, type=Reference)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtifactsError(path, f"is not a training reference: {error}") from error
    why = _mismatch(manifest, reference)
    if why:
        raise ArtifactsError(path, why)
    return Catalogue(manifest, reference, sha256(manifest_bytes))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactsError(path, f"is missing in {path.parent}") from None
    except OSError as error:
        raise ArtifactsError(path, f"cannot be read: {error.strerror}") from error


def _mismatch(manifest: Manifest, reference: Reference) -> str | None:
    features, classes = len(manifest.features), set(manifest.classes)
    positions = range(features)
    checks = {
        "names other features than the manifest": (
            [feature.name for feature in reference.features] != manifest.feature_names
        ),
        "names other classes than the manifest": any(
            set(shares) != classes for shares in (reference.class_prior, *reference.predicted_shares.values())
        ),
        "does not say what each model predicts": set(reference.predicted_shares) != set(manifest.models),
        "has no rows, or rows of another length": (
            not reference.sample or any(len(row) != features for row in reference.sample)
        ),
        "pairs features that do not exist": any(
            position not in positions for pair in reference.pairs for position in pair
        ),
    }
    return next((why for why, wrong in checks.items() if wrong), None)


def _defect(manifest: Manifest) -> str | None:
    names = manifest.feature_names
    files = [manifest.reference.file, *(entry.file for entry in manifest.models.values())]
    checks = {
        f"has schema version {manifest.schema_version}, this service reads {SCHEMA_VERSION}": (
            manifest.schema_version != SCHEMA_VERSION
        ),
        f"must describe the models {', '.join(VERSIONS)}": set(manifest.models) != set(VERSIONS),
        "must name each feature once, and one at least": not names or len(set(names)) != len(names),
        "must name each class once, and two at least": (
            len(manifest.classes) < 2 or len(set(manifest.classes)) != len(manifest.classes)
        ),
        "names a file outside its own directory": any(Path(file).name != file for file in files),
        "has a feature whose accepted range is empty": any(
            feature.accept_min >= feature.accept_max for feature in manifest.features
        ),
        "has no drift limits, or limits for other features and classes": not manifest.drift.windows
        or any(
            (len(window.features), len(window.classes)) != (len(names), len(manifest.classes))
            or min(*window.features, *window.classes, window.joint) <= 0
            for window in manifest.drift.windows
        ),
    }
    return next((why for why, wrong in checks.items() if wrong), None)

"""The files that training writes and serving reads, typed: manifest.json and reference.json."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from app.errors import ArtifactsError

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
VERSIONS = ("v1", "v2")


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input column: its range in the training rows, and the wider range that /predict accepts."""

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
    """A row and what the model said about it in training; serving must say the same before it takes traffic."""

    features: list[float]
    prediction: int
    probabilities: list[float]


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One arm: its file, and where it comes from."""

    file: str
    sha256: str
    algorithm: str
    params: dict[str, Any]
    metrics: dict[str, Estimate]
    canary: Canary


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file beside the manifest, by content."""

    file: str
    sha256: str


class DataEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data set, by content, and how it was split."""

    sha256: str
    rows: int
    training_rows: int
    held_out_rows: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """manifest.json. It has no time of day in it: the same data and libraries give the same bytes."""

    schema_version: int
    features: list[FeatureSpec]
    classes: list[str]
    models: dict[str, ModelEntry]
    reference: FileEntry
    data: DataEntry
    libraries: dict[str, str]

    @property
    def feature_names(self) -> list[str]:
        """Names in the order in which a row holds their values."""
        return [feature.name for feature in self.features]


class FeatureReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature in the training rows; std is the population's (divisor n)."""

    name: str
    mean: float
    std: float
    min: float
    max: float
    quantiles: dict[str, float]


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """reference.json: the training rows that drift is measured against."""

    rows: int
    features: list[FeatureReference]
    class_prior: dict[str, float]


class Catalogue(msgspec.Struct, frozen=True):
    """A manifest and the reference that belongs to it."""

    manifest: Manifest
    reference: Reference
    sha256: str
    """Hash of manifest.json, which holds the hashes of all the rest: the name of this set of models."""


def sha256(content: bytes) -> str:
    """Hex digest, as the manifest holds it."""
    return hashlib.sha256(content).hexdigest()


def read_catalogue(directory: Path) -> Catalogue:
    """Manifest and reference of a models directory; raises ArtifactsError naming the file that cannot be used."""
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
    if [feature.name for feature in reference.features] != manifest.feature_names:
        raise ArtifactsError(path, "names other features than the manifest")
    return Catalogue(manifest, reference, sha256(manifest_bytes))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactsError(path, f"is missing in {path.parent}") from None
    except OSError as error:
        raise ArtifactsError(path, f"cannot be read: {error.strerror}") from error


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
    }
    return next((why for why, wrong in checks.items() if wrong), None)

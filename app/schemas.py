"""What goes over the wire as JSON, typed: requests, answers, problems. No behaviour."""

from __future__ import annotations

from typing import Any

import msgspec


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /predict: the features in the manifest's order, or by name."""

    features: list[float] | dict[str, float]


class Prediction(msgspec.Struct, frozen=True):
    """Answer of POST /predict."""

    prediction: int
    class_name: str = msgspec.field(name="class")
    probabilities: dict[str, float]
    model_version: str
    prediction_id: str
    reason: str
    """Why this version answered: `split`, or `fallback` when the arm that was due is off."""


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 has it."""

    title: str
    status: int
    detail: str
    field: str | msgspec.UnsetType = msgspec.UNSET


class ModelView(msgspec.Struct, frozen=True):
    """One arm, as GET /config shows it."""

    up: bool
    sha256: str | None
    algorithm: str | None
    params: dict[str, Any]
    metrics: dict[str, Any]
    reason: str | None
    """Why the arm is off; null while it is up."""


class FeatureView(msgspec.Struct, frozen=True):
    """One feature: what the training rows looked like, and what /predict accepts."""

    name: str
    min: float
    max: float
    mean: float
    std: float
    accept_min: float
    accept_max: float


class DriftView(msgspec.Struct, frozen=True):
    """How model_drift_score is made."""

    threshold: float
    window: int
    minimum: int


class ConfigView(msgspec.Struct, frozen=True):
    """Answer of GET /config."""

    weights: dict[str, int]
    split: dict[str, float]
    """The weights as shares of 1, as configured."""
    serving_split: dict[str, float]
    """The shares that are in force with the arms that are up; all 0 when none may answer."""
    models: dict[str, ModelView]
    features: list[FeatureView]
    classes: list[str]
    service_digest: str
    drift: DriftView
    reason: str | None
    """Why there are no models at all; null when the manifest could be read."""


class ReadyView(msgspec.Struct, frozen=True):
    """Answer of GET /ready."""

    status: str
    """`ready`: both arms scored their canary row. `degraded`: one did, and it answers. `unavailable`: none answers."""
    models: dict[str, str]
    """version -> `up`, or why it is off."""

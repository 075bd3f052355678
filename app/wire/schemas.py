"""Types of the JSON bodies of requests and responses."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.launcher_api import CodeView
from app.manifest import Estimate, Params
from app.shm.worker_registry import WorkerView

Values = list[float] | dict[str, float]
"""One row: the features in the manifest's order, or by name."""


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request body of POST /predict: either one row, `features`, or a batch, `instances`."""

    features: Values | msgspec.UnsetType = msgspec.UNSET
    instances: list[Values] | msgspec.UnsetType = msgspec.UNSET


class Prediction(msgspec.Struct, frozen=True):
    """Response body of POST /predict for one row."""

    prediction: int
    """Index of the class among the classes of GET /config."""
    class_name: str = msgspec.field(name="class")
    probabilities: dict[str, float]
    model_version: str
    prediction_id: str
    reason: str
    """Why this version answered: `split` at random, `sticky` by the user's name, `forced` by the request, or `fallback`
    because the assigned version is unavailable."""


class Predictions(msgspec.Struct, frozen=True):
    """Response body of POST /predict for a batch, in the order of its rows."""

    predictions: list[Prediction]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the two versions, whole numbers from 0 to 100 that are not both 0."""

    # JSON has one type of number: 17.0 is whole, too.
    v1: Annotated[float, msgspec.Meta(ge=0, le=100)]
    v2: Annotated[float, msgspec.Meta(ge=0, le=100)]


class ConfigChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request body of PUT /config."""

    weights: Weights | None
    """null: the weights of the release."""


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457)."""

    title: str
    status: int
    detail: str
    field: str | msgspec.UnsetType = msgspec.UNSET


class ModelView(msgspec.Struct, frozen=True):
    """A model version, as GET /config shows it."""

    up: bool
    sha256: str | None
    algorithm: str | None
    params: Params
    metrics: dict[str, Estimate]
    reason: str | None
    """Why the version is unavailable; null while it is available."""


class FeatureView(msgspec.Struct, frozen=True):
    """A feature: statistics of the training rows, and the range that /predict accepts."""

    name: str
    min: float
    max: float
    mean: float
    std: float
    accept_min: float
    accept_max: float


class DriftView(msgspec.Struct, frozen=True):
    """Parameters of model_drift_score."""

    threshold: float
    window: int
    minimum: int


class ChangeView(msgspec.Struct, frozen=True):
    """When and by whom the split was changed at run time."""

    time: str
    by: str


class ConfigView(msgspec.Struct, frozen=True):
    """Response body of GET /config."""

    weights: dict[str, int]
    """The active weights."""
    pushed_weights: dict[str, int]
    """The weights of the release."""
    changed: ChangeView | None
    """null while the weights of the release are active."""
    split: dict[str, float]
    """The weights as shares of 1, as configured."""
    serving_split: dict[str, float]
    """The shares of the versions that are up; all 0 when none may answer."""
    models: dict[str, ModelView]
    features: list[FeatureView]
    classes: list[str]
    service_digest: str
    drift: DriftView
    reason: str | None
    """Why no model is loaded; null when the manifest could be read."""
    manifest_sha256: str | None
    """SHA-256 of the active manifest; null without one."""
    workers: list[WorkerView]
    """Models and code of each worker."""
    code: CodeView
    """The active code, and the code that was refused last."""


class ReadyView(msgspec.Struct, frozen=True):
    """Response body of GET /ready."""

    status: str
    """`ready`: both models score their canary row. `degraded`: one does, and it serves. `unavailable`: none serves."""
    models: dict[str, str]
    """Version -> `up`, or why it is unavailable."""

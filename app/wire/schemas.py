"""What goes over the wire as JSON, typed: requests, answers, problems. No behaviour."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from app.launcher_api import CodeView
from app.shm.worker_registry import WorkerView

Values = list[float] | dict[str, float]
"""One row: the features in the manifest's order, or by name."""


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /predict: one row under `features`, or a batch under `instances`; one of the two."""

    features: Values | msgspec.UnsetType = msgspec.UNSET
    instances: list[Values] | msgspec.UnsetType = msgspec.UNSET


class Prediction(msgspec.Struct, frozen=True):
    """Answer of POST /predict to one row."""

    prediction: int
    """Index of the class among the classes of GET /config."""
    class_name: str = msgspec.field(name="class")
    probabilities: dict[str, float]
    model_version: str
    prediction_id: str
    reason: str
    """Why this version answered: `split` by chance, `sticky` by the user's name, `forced` by the request, or `fallback`
    because the version that was due is off."""


class Predictions(msgspec.Struct, frozen=True):
    """Answer of POST /predict to a batch, in the order of its rows."""

    predictions: list[Prediction]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the two versions, whole numbers from 0 to 100 that are not both 0."""

    # In JSON 17.0 is a whole number, too.
    v1: Annotated[float, msgspec.Meta(ge=0, le=100)]
    v2: Annotated[float, msgspec.Meta(ge=0, le=100)]


class ConfigChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /config."""

    weights: Weights | None
    """null: back to the pushed weights."""


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


class ChangeView(msgspec.Struct, frozen=True):
    """When and from where the split was changed at run time."""

    time: str
    by: str


class ConfigView(msgspec.Struct, frozen=True):
    """Answer of GET /config."""

    weights: dict[str, int]
    """The weights in force."""
    pushed_weights: dict[str, int]
    """The weights of the release."""
    changed: ChangeView | None
    """null while the pushed weights are in force."""
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
    manifest_sha256: str | None
    """Hash of the manifest of the models that serve; null without one."""
    workers: list[WorkerView]
    """Which models each worker serves, and which code it runs."""
    code: CodeView
    """The code that answers, and what was to take its place and could not."""


class ReadyView(msgspec.Struct, frozen=True):
    """Answer of GET /ready."""

    status: str
    """`ready`: both arms scored their canary row. `degraded`: one did, and it answers. `unavailable`: none answers."""
    models: dict[str, str]
    """version -> `up`, or why it is off."""

"""Puts the parts of one worker together."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

import numpy as np
from flask import Flask
from prometheus_client import CollectorRegistry

from app import drift, problems
from app.decode import RowDecoder
from app.manifest import VERSIONS, Catalogue
from app.metrics import Metrics
from app.models import ModelSet, load_models
from app.predict import PredictService
from app.routes import api
from app.routing import Split
from app.settings import ApiSettings, window_dir
from app.state import ServiceState
from app.window import Ring, recent_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger("app")


def build(
    settings: ApiSettings,
    *,
    registry: CollectorRegistry | None = None,
    draw: Callable[[], float] | None = None,
    shared_metrics: Path | None = None,
) -> Flask:
    """The application of `app.create_app`. shared_metrics: directory of the counters that all workers share."""
    models = load_models(settings.models_dir)
    for version, reason in models.refusals.items():
        log.error("model %s is off: %s", version, reason)
    split = Split(*VERSIONS, *settings.weights, up=frozenset(models.arms))
    keep_row, window = _window(window_dir(settings.state_dir), models.catalogue)
    state = ServiceState(models, split, settings.service_digest, window)
    classes = models.catalogue.manifest.classes if models.catalogue else []
    metrics = Metrics(
        registry or CollectorRegistry(),
        versions=VERSIONS,
        classes=classes,
        state=state.gauges,
        shared_dir=shared_metrics,
    )
    service = PredictService(
        decoder=RowDecoder(models.catalogue.manifest.features) if models.catalogue else None,
        classes=classes,
        split=split,
        arms=models.arms,
        metrics=metrics,
        keep_row=keep_row,
        draw=draw or random.Random().random,  # noqa: S311 - a traffic split, not a secret
        no_model=_no_model(models, split),
    )
    app = Flask("app", static_folder=None)
    problems.register(app)
    app.register_blueprint(api(service, state, metrics))
    app.extensions["onebox"] = service
    return app


def _window(
    directory: Path, catalogue: Catalogue | None
) -> tuple[Callable[[Sequence[float]], None], Callable[[], drift.Matrix]]:
    if catalogue is None:
        return (lambda _row: None), (lambda: np.empty((0, 0)))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    features = len(catalogue.manifest.features)
    ring = Ring(directory, features, drift.WINDOW)
    return ring.append, lambda: recent_rows(directory, features, drift.WINDOW)


def _no_model(models: ModelSet, split: Split) -> str:
    if not models.arms:
        return "no model is loaded"
    idle = ", ".join(version for version in models.arms if split.weights[version] == 0)
    return f"the model that the weights send all traffic to is off, and the weight of {idle} is 0"

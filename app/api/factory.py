"""Assemble one worker and its WSGI application from the settings."""

from __future__ import annotations

import itertools
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask

from app.api.admin import admin
from app.api.docs import docs
from app.api.report_routes import reports
from app.api.routes import api
from app.api.service_state import ServiceState
from app.experiment.prediction_log import PredictionLog
from app.experiment.recorder_status import recorder_gauges
from app.http.access_control import AccessControl
from app.http.access_log import AccessLog, to_stdout
from app.http.rate_limit import RateLimit
from app.http.wsgi_middleware import AccessMiddleware
from app.inference.metrics import Metrics
from app.inference.model_bundle import load_bundle
from app.inference.model_reload import ModelReload
from app.inference.predict import PredictService
from app.launcher_api import Standalone
from app.manifest import VERSIONS
from app.settings import ACCESS_LOG_MODES, ApiSettings, data_dir, metrics_dir, rings_dir
from app.shm.private_directory import make_private
from app.shm.worker_registry import WorkerRegistry
from app.traffic.split import LiveSplit
from app.wire import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from app.launcher_api import Launcher

log = logging.getLogger("app")


@dataclass(frozen=True)
class Worker:
    """The parts of one worker that its server needs."""

    app: Flask
    """The WSGI application, access control included."""
    service: PredictService
    metrics: Metrics
    reload: ModelReload
    access: AccessControl
    access_log: AccessLog
    registry: WorkerRegistry


def build(
    settings: ApiSettings,
    *,
    registry: CollectorRegistry | None = None,
    draw: Callable[[], float] | None = None,
) -> Flask:
    """Return the application of `app.create_app`."""
    return build_worker(settings, registry=registry, draw=draw).app


def build_worker(
    settings: ApiSettings,
    *,
    registry: CollectorRegistry | None = None,
    draw: Callable[[], float] | None = None,
    number: int = 0,
    launcher: Launcher | None = None,
) -> Worker:
    """Return worker `number` of settings.workers, counted from 0. The other arguments: see `app.create_app`.

    Raise ServerError where another user could write to the state directory.
    """
    launcher = launcher or Standalone()
    make_private(settings.state_dir)
    for directory in (metrics_dir(settings.state_dir), rings_dir(settings)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    bundle = load_bundle(settings.models_dir, rings_dir(settings), settings.max_rows)
    for version, reason in bundle.models.refusals.items():
        log.error("model %s is unavailable: %s", version, reason)
    live = LiveSplit(settings.state_dir, data_dir(settings), settings.weights)
    metrics = Metrics(
        metrics_dir(settings.state_dir),
        versions=VERSIONS,
        classes=bundle.classes,
        gauges=lambda: itertools.chain(state.gauges(), recorder_gauges(settings.state_dir)),
        registry=registry,
    )
    service = PredictService(
        bundle=bundle,
        live=live,
        metrics=metrics,
        draw=draw or random.Random().random,  # noqa: S311 - a traffic split, not a secret
    )
    workers = WorkerRegistry(settings.state_dir / "workers")
    state = ServiceState(service, live, settings.service_digest, workers, launcher)
    access = _access_control(settings, metrics, number)
    app = Flask("app", static_folder=None)
    app.wsgi_app = AccessMiddleware(app.wsgi_app, access)  # type: ignore[method-assign]
    problems.register(app)
    app.register_blueprint(api(service, state, metrics))
    predictions = PredictionLog(data_dir(settings), lambda: service.bundle)
    app.register_blueprint(reports(state, predictions, metrics.refused))
    app.register_blueprint(docs(service, settings.max_rows))
    app.register_blueprint(admin(settings.admin_keys, live, state))
    app.extensions["onebox"] = service
    return Worker(
        app,
        service,
        metrics,
        ModelReload(settings, service, metrics, workers, launcher.code),
        access,
        AccessLog(ACCESS_LOG_MODES[settings.access_log], to_stdout),
        workers,
    )


def _access_control(settings: ApiSettings, metrics: Metrics, number: int) -> AccessControl:
    rate_limit = None
    if settings.rate_limit:
        rate_limit = RateLimit(
            settings.state_dir / "rate.bin",
            workers=settings.workers,
            number=number,
            per_second=settings.rate_limit,
        )
    return AccessControl(
        keys=settings.keys,
        admin_keys=settings.admin_keys,
        rate_limit=rate_limit,
        origins=settings.cors_origins,
        hosts=settings.trusted_hosts,
        refused=metrics.refused,
    )

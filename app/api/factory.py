"""Puts the parts of one worker together."""

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
from app.http.access_control import Gate
from app.http.access_log import AccessLog, to_stdout
from app.http.rate_limit import RateLimit
from app.inference.metrics import Metrics
from app.inference.model_reload import Swap
from app.inference.model_set import load_serving
from app.inference.predict import PredictService
from app.launcher_api import Alone
from app.manifest import VERSIONS
from app.settings import ApiSettings, data_dir, metrics_dir, rings_dir
from app.shm.worker_registry import Board
from app.traffic.split import LiveSplit
from app.wire import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from app.launcher_api import Launcher

log = logging.getLogger("app")


@dataclass(frozen=True)
class Worker:
    """The parts of one worker that its front needs."""

    app: Flask
    service: PredictService
    metrics: Metrics
    swap: Swap
    gate: Gate
    access: AccessLog
    board: Board


def build(
    settings: ApiSettings,
    *,
    registry: CollectorRegistry | None = None,
    draw: Callable[[], float] | None = None,
) -> Flask:
    """The application of `app.create_app`."""
    return build_worker(settings, registry=registry, draw=draw).app


def build_worker(
    settings: ApiSettings,
    *,
    registry: CollectorRegistry | None = None,
    draw: Callable[[], float] | None = None,
    number: int = 0,
    launcher: Launcher | None = None,
) -> Worker:
    """One worker, the `number`th of settings.workers. The rest as in `app.create_app`."""
    launcher = launcher or Alone()
    for directory in (metrics_dir(settings.state_dir), rings_dir(settings)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    serving = load_serving(settings.models_dir, rings_dir(settings), settings.max_rows)
    for version, reason in serving.models.refusals.items():
        log.error("model %s is off: %s", version, reason)
    live = LiveSplit(settings.state_dir, data_dir(settings), settings.weights)
    metrics = Metrics(
        metrics_dir(settings.state_dir),
        versions=VERSIONS,
        classes=serving.classes,
        state=lambda: itertools.chain(state.gauges(), recorder_gauges(settings.state_dir)),
        registry=registry,
    )
    service = PredictService(
        serving=serving,
        live=live,
        metrics=metrics,
        draw=draw or random.Random().random,  # noqa: S311 - a traffic split, not a secret
    )
    board = Board(settings.state_dir / "workers")
    state = ServiceState(service, live, settings.service_digest, board, launcher)
    app = Flask("app", static_folder=None)
    problems.register(app)
    app.register_blueprint(api(service, state, metrics))
    predictions = PredictionLog(data_dir(settings), lambda: service.serving)
    app.register_blueprint(reports(state, predictions, metrics.refused))
    app.register_blueprint(docs(service, settings.max_rows))
    app.register_blueprint(admin(settings.admin_keys, live, state))
    app.extensions["onebox"] = service
    return Worker(
        app,
        service,
        metrics,
        Swap(settings, service, metrics, board, launcher.code),
        _gate(settings, number),
        AccessLog(settings.access_log, to_stdout),
        board,
    )


def _gate(settings: ApiSettings, number: int) -> Gate:
    rate = None
    if settings.rate_limit:
        rate = RateLimit(
            settings.state_dir / "rate.bin",
            workers=settings.workers,
            number=number,
            per_second=settings.rate_limit,
        )
    origins = frozenset(origin.encode() for origin in settings.cors_origins)
    return Gate(
        keys=settings.keys,
        admin=settings.admin_keys,
        rate=rate,
        origins=origins,
        hosts=settings.trusted_hosts,
    )

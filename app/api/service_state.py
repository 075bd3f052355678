"""What the service knows about itself: configuration, readiness, and the gauges worked out at the scrape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client.core import GaugeMetricFamily

from app.drift import score as drift
from app.drift.monitor import no_gauges, no_report
from app.launcher_api import code_view
from app.manifest import VERSIONS
from app.wire.schemas import ChangeView, ConfigView, DriftView, FeatureView, ModelView, ReadyView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from app.drift.monitor import DriftReport
    from app.inference.models import ModelSet
    from app.inference.predict import PredictService
    from app.launcher_api import Launcher
    from app.shm.worker_registry import Board
    from app.traffic.routing import Split
    from app.traffic.split import Change, LiveSplit


@dataclass(frozen=True)
class ServiceState:
    """One worker's view of what it serves."""

    service: PredictService
    live: LiveSplit
    service_digest: str
    board: Board
    launcher: Launcher

    @property
    def models(self) -> ModelSet:
        """The models that serve now."""
        return self.service.serving.models

    @property
    def split(self) -> Split:
        """The split in force."""
        return self.service.split

    def config(self) -> ConfigView:
        """Answer of GET /config."""
        return ConfigView(
            weights=dict(self.split.weights),
            pushed_weights=dict(zip(VERSIONS, self.live.pushed, strict=True)),
            changed=_change(self.live.change),
            split=dict(self.split.configured),
            serving_split=dict(self.split.serving),
            models={version: self._model(version) for version in VERSIONS},
            features=self._features(),
            classes=list(self.models.catalogue.manifest.classes) if self.models.catalogue else [],
            service_digest=self.service_digest,
            drift=DriftView(threshold=drift.THRESHOLD, window=drift.WINDOW, minimum=drift.MINIMUM),
            reason=self.models.reason,
            manifest_sha256=self.service.serving.sha256,
            workers=self.board.read(),
            code=code_view(self.launcher),
        )

    def readiness(self) -> ReadyView:
        """Answer of GET /ready; ready only while every arm is up and scores its canary row."""
        off = self.models.off()
        if not off:
            status = "ready"
        elif any(share > 0 and version not in off for version, share in self.split.serving.items()):
            status = "degraded"
        else:
            status = "unavailable"
        return ReadyView(status=status, models={version: off.get(version, "up") for version in VERSIONS})

    def drift(self) -> DriftReport:
        """Answer of GET /drift."""
        watch = self.service.serving.drift
        return watch.report() if watch else no_report()

    def gauges(self) -> Iterator[Metric]:
        """Drift, arms and release as Prometheus families. What the window is too short for is left out."""
        watch = self.service.serving.drift
        yield from watch.gauges() if watch else no_gauges()
        up = GaugeMetricFamily("model_arm_up", "1 while the model version is loaded.", labels=["version"])
        for version in VERSIONS:
            up.add_metric([version], float(version in self.models.arms))
        yield up
        yield GaugeMetricFamily(
            "models_reload_successful",
            "1 while every worker serves the models that came last; 0 when one refused them.",
            value=float(all(worker.refused is None for worker in self.board.read())),
        )
        labels = {"service_digest": self.service_digest, "code": self.launcher.code[:12]}
        labels |= {f"model_{version}": (self.models.sha256(version) or "off")[:12] for version in VERSIONS}
        release = GaugeMetricFamily("release_info", "What is serving; always 1.", labels=list(labels))
        release.add_metric(list(labels.values()), 1.0)
        yield release

    def _model(self, version: str) -> ModelView:
        entry = self.models.catalogue.manifest.models[version] if self.models.catalogue else None
        metrics: dict[str, Any] = msgspec.to_builtins(entry.metrics) if entry else {}
        return ModelView(
            up=version in self.models.arms,
            sha256=entry.sha256 if entry else None,
            algorithm=entry.algorithm if entry else None,
            params=entry.params if entry else {},
            metrics=metrics,
            reason=self.models.refusals.get(version),
        )

    def _features(self) -> list[FeatureView]:
        if self.models.catalogue is None:
            return []
        pairs = zip(
            self.models.catalogue.manifest.features, self.models.catalogue.reference.features, strict=True
        )
        return [
            FeatureView(
                name=spec.name,
                min=spec.min,
                max=spec.max,
                mean=reference.mean,
                std=reference.std,
                accept_min=spec.accept_min,
                accept_max=spec.accept_max,
            )
            for spec, reference in pairs
        ]


def _change(change: Change | None) -> ChangeView | None:
    return ChangeView(change.time, change.by) if change else None

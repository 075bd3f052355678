"""State of the service: configuration, readiness, drift, and gauges computed at the scrape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from app.shm.worker_registry import WorkerRegistry
    from app.traffic.routing import Split
    from app.traffic.split import Change, LiveSplit


@dataclass(frozen=True)
class ServiceState:
    """State of the service as one worker sees it."""

    service: PredictService
    live: LiveSplit
    service_digest: str
    registry: WorkerRegistry
    launcher: Launcher

    @property
    def models(self) -> ModelSet:
        """Return the active models."""
        return self.service.bundle.models

    @property
    def split(self) -> Split:
        """Return the active split."""
        return self.service.split

    def config(self) -> ConfigView:
        """Return the body of GET /config."""
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
            manifest_sha256=self.service.bundle.sha256,
            workers=self.registry.read(),
            code=code_view(self.launcher),
        )

    def readiness(self) -> ReadyView:
        """Return the body of GET /ready: `ready` while every model is up and scores its canary row."""
        off = self.models.off()
        if not off:
            status = "ready"
        elif any(share > 0 and version not in off for version, share in self.split.serving.items()):
            status = "degraded"
        else:
            status = "unavailable"
        return ReadyView(status=status, models={version: off.get(version, "up") for version in VERSIONS})

    def drift(self) -> DriftReport:
        """Return the body of GET /drift."""
        monitor = self.service.bundle.drift
        return monitor.report() if monitor else no_report()

    def gauges(self) -> Iterator[Metric]:
        """Yield drift, models and release as Prometheus families; drift figures only where the window allows."""
        monitor = self.service.bundle.drift
        yield from monitor.gauges() if monitor else no_gauges()
        up = GaugeMetricFamily("model_arm_up", "1 while the model version is loaded.", labels=["version"])
        for version in VERSIONS:
            up.add_metric([version], float(version in self.models.arms))
        yield up
        yield GaugeMetricFamily(
            "models_reload_successful",
            "1 while every worker serves the latest models; 0 when one rejected them.",
            value=float(all(worker.refused is None for worker in self.registry.read())),
        )
        labels = {"service_digest": self.service_digest, "code": self.launcher.code[:12]}
        labels |= {f"model_{version}": (self.models.sha256(version) or "off")[:12] for version in VERSIONS}
        release = GaugeMetricFamily("release_info", "What is serving; always 1.", labels=list(labels))
        release.add_metric(list(labels.values()), 1.0)
        yield release

    def _model(self, version: str) -> ModelView:
        entry = self.models.catalogue.manifest.models[version] if self.models.catalogue else None
        return ModelView(
            up=version in self.models.arms,
            sha256=entry.sha256 if entry else None,
            algorithm=entry.algorithm if entry else None,
            params=entry.params if entry else {},
            metrics=entry.metrics if entry else {},
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

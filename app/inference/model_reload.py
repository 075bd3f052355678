"""Hot reload of the models: load the new bundle beside the current one, check it, activate it between two requests."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from app.inference.model_bundle import ModelBundle, load_bundle
from app.launcher_api import DEVELOPMENT
from app.settings import ApiSettings, rings_dir
from app.shm.worker_registry import WorkerRegistry, WorkerView

if TYPE_CHECKING:
    from app.inference.metrics import Metrics
    from app.inference.predict import PredictService

log = logging.getLogger("app")


class ModelReload:
    """Activates new models in one worker, or refuses them with a reason in the registry."""

    def __init__(
        self,
        settings: ApiSettings,
        service: PredictService,
        metrics: Metrics,
        registry: WorkerRegistry,
        code: str = DEVELOPMENT,
    ) -> None:
        """code: digest of the code that this worker runs."""
        self._settings = settings
        self._service = service
        self._metrics = metrics
        self._registry = registry
        self._code = code
        self._register(None)

    def load(self) -> ModelBundle:
        """Load the models directory. Takes tens of milliseconds: not for the thread of the event loop."""
        return load_bundle(self._settings.models_dir, rings_dir(self._settings), self._settings.max_rows)

    def activate(self, new: ModelBundle) -> bool:
        """Serve this bundle from the next request on; return False where it would lose a version that serves now.

        A refused bundle is closed and the current one stays. Call it on the thread that answers predictions.
        """
        current = self._service.bundle
        lost = sorted(set(current.models.arms) - set(new.models.arms))
        if lost:
            why = new.models.refusals[lost[0]]
            log.error("the new models are refused, the current ones stay: %s", why)
            self._register(why)
            new.close()
            return False
        if new.classes != current.classes:
            self._metrics.use_classes(new.classes)
        self._service.use(new)
        for version, reason in new.models.refusals.items():
            log.error("model %s is unavailable: %s", version, reason)
        log.info("serving models %s", (new.sha256 or "none")[:12])
        self._register(None)
        return True

    def _register(self, refused: str | None) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        refused = refused and refused[:1000]
        self._registry.write(WorkerView(self._service.bundle.sha256, now, refused, self._code))

"""Models swapped while serving: the new ones are loaded beside the old, checked, and take over between two requests."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from app.inference.model_set import Serving, load_serving
from app.launcher_api import DEVELOPMENT
from app.settings import ApiSettings, rings_dir
from app.shm.worker_registry import Board, WorkerView

if TYPE_CHECKING:
    from app.inference.metrics import Metrics
    from app.inference.predict import PredictService

log = logging.getLogger("app")


class Swap:
    """Takes new models into one worker's service, or says why not."""

    def __init__(
        self,
        settings: ApiSettings,
        service: PredictService,
        metrics: Metrics,
        board: Board,
        code: str = DEVELOPMENT,
    ) -> None:
        """code: digest of the code that this worker runs."""
        self._settings = settings
        self._service = service
        self._metrics = metrics
        self._board = board
        self._code = code
        self._say(None)

    def load(self) -> Serving:
        """What lies in the models directory now. Takes a while: not for the thread that answers."""
        return load_serving(self._settings.models_dir, rings_dir(self._settings), self._settings.max_rows)

    def take(self, new: Serving) -> bool:
        """Serve with this from the next request on, unless an arm that answers now would be lost by it.

        Call it on the thread that answers. False when it was refused: the old models go on.
        """
        old = self._service.serving
        lost = sorted(set(old.models.arms) - set(new.models.arms))
        if lost:
            why = new.models.refusals[lost[0]]
            log.error("the new models are refused, the old ones go on: %s", why)
            self._say(why)
            new.close()
            return False
        if new.classes != old.classes:
            self._metrics.use_classes(new.classes)
        self._service.use(new)
        for version, reason in new.models.refusals.items():
            log.error("model %s is off: %s", version, reason)
        log.info("serving models %s", (new.sha256 or "none")[:12])
        self._say(None)
        return True

    def _say(self, refused: str | None) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        refused = refused and refused[:1000]
        self._board.write(WorkerView(self._service.serving.sha256, now, refused, self._code))

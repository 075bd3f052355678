"""POST /predict from body to body: validate, choose an arm, score, count. Knows nothing of Flask or of WSGI."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from app.envelope import JSON
from app.errors import InvalidRequestError, ModelFailedError, NoModelError, PredictionFailedError
from app.problems import CONTENT_TYPE as PROBLEM
from app.problems import problem
from app.schemas import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.decode import RowDecoder
    from app.metrics import Metrics
    from app.models import Model
    from app.routing import Split

log = logging.getLogger("app")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    body: bytes
    content_type: str = JSON


class PredictService:
    """Answers predictions. One object per worker, shared by whatever front takes the requests."""

    def __init__(
        self,
        *,
        decoder: RowDecoder | None,
        classes: Sequence[str],
        split: Split,
        arms: Mapping[str, Model],
        metrics: Metrics,
        keep_row: Callable[[Sequence[float]], None],
        draw: Callable[[], float],
        no_model: str,
    ) -> None:
        """decoder: None when there is no manifest, so that nothing can be answered.

        keep_row: takes every answered row, for drift. draw: a number in [0, 1) for every request.
        no_model: what a client is told when no arm may answer.
        """
        self._decoder = decoder
        self._classes = list(classes)
        self._split = split
        self._arms = arms
        self._metrics = metrics
        self._keep_row = keep_row
        self._draw = draw
        self._no_model = no_model
        self._encode = msgspec.json.Encoder().encode

    def answer(self, body: bytes) -> Answer:
        """The answer to one request body of type application/json. Counts it; never raises ApiError."""
        start = time.perf_counter()
        version: str | None = None
        try:
            if self._decoder is None:
                raise NoModelError(self._no_model)
            row = self._decoder.row(body)
            choice = self._split.choose(self._draw())
            if choice is None:
                raise NoModelError(self._no_model)
            version = choice.version
            index, chances = self._arms[version].score(row)
        except InvalidRequestError as error:
            return self.refuse(error)
        except PredictionFailedError as error:
            self._metrics.failed(version, time.perf_counter() - start)
            return self._failure(error)
        answer = Prediction(
            prediction=index,
            class_name=self._classes[index],
            probabilities=dict(zip(self._classes, chances, strict=True)),
            model_version=version,
            prediction_id=secrets.token_hex(16),
            reason=choice.reason,
        )
        encoded = self._encode(answer)
        self._keep_row(row)
        self._metrics.answered(version, index, time.perf_counter() - start)
        return Answer(200, encoded)

    def refuse(self, error: InvalidRequestError) -> Answer:
        """The answer to a request that is the client's fault; counts it."""
        self._metrics.refused(error.reason)
        return Answer(error.status, problem(error.status, error.detail, error.field), PROBLEM)

    def _failure(self, error: PredictionFailedError) -> Answer:
        if isinstance(error, ModelFailedError):
            log.error("%s: %s", error, error.why)
        detail = f"{error}. {error.hint}" if error.hint else str(error)
        return Answer(error.status, problem(error.status, detail), PROBLEM)

"""Answer POST /predict, from request body to response body: decode, assign a model version, score, count."""

from __future__ import annotations

import logging
import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from app.errors import InvalidRequestError, ModelFailedError, NoModelError, PredictionFailedError
from app.manifest import VERSIONS
from app.shm.ring_buffer import FAILED, REASONS
from app.traffic.assignment import position
from app.traffic.routing import FORCED, SPLIT, STICKY, Choice, Split
from app.traffic.routing_hints import NO_HINTS, RoutingHints
from app.wire.body import JSON
from app.wire.problems import CONTENT_TYPE as PROBLEM
from app.wire.problems import problem
from app.wire.schemas import Prediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.inference.decode import Row
    from app.inference.metrics import Metrics
    from app.inference.model_bundle import ModelBundle
    from app.inference.models import Model, Scored
    from app.traffic.split import LiveSplit

log = logging.getLogger("app")
_ARMS = {version: index for index, version in enumerate(VERSIONS)}
_REASONS = {reason: index for index, reason in enumerate(REASONS)}
_IDS_AT_ONCE = 256


class Answer(NamedTuple):
    """Status and body of a response to POST /predict."""

    status: int
    body: bytes
    content_type: str = JSON
    version: str | None = None
    """The model version that answered; None where none did."""


class Job(NamedTuple):
    """A valid request and the model that will score it."""

    rows: list[Row]
    batch: bool
    bundle: ModelBundle
    arm: Model
    choice: Choice
    synthetic: bool
    start: float


class PredictService:
    """Answers the predictions of one worker.

    `answer` takes one request. `prepare` for each of several requests and `finish` for all of them score them in one
    batch, which costs little more than one of them alone.
    """

    def __init__(
        self, *, bundle: ModelBundle, live: LiveSplit, metrics: Metrics, draw: Callable[[], float]
    ) -> None:
        """draw: returns a number in [0, 1), uniform, for every request without a user."""
        self._live = live
        self._metrics = metrics
        self._draw = draw
        self._encode = msgspec.json.Encoder().encode
        self._ids = b""
        self._next_id = 0
        self.use(bundle)

    def use(self, bundle: ModelBundle) -> None:
        """Activate a bundle from the next request on; jobs finish with the bundle that they were prepared with."""
        self.bundle = bundle
        self._follow_split()

    @property
    def split(self) -> Split:
        """Return the active split, with the model versions that are up. For any thread."""
        return Split(*VERSIONS, *self._live.weights, up=frozenset(self.bundle.models.arms))

    def answer(self, body: bytes, hints: RoutingHints = NO_HINTS) -> Answer:
        """Answer and count one request body of type application/json. Never raises ApiError."""
        prepared = self.prepare(body, hints)
        return prepared if isinstance(prepared, Answer) else self.finish([prepared])[0]

    def prepare(self, body: bytes, hints: RoutingHints = NO_HINTS) -> Job | Answer:
        """Return the job of a request body, or its answer where there is nothing to score. Never raises ApiError."""
        start = time.perf_counter()
        bundle = self.bundle
        try:
            rows, batch = bundle.rows(body)
            choice = self._choose(hints)
        except InvalidRequestError as error:
            return self.refuse(error)
        except NoModelError as error:
            self._metrics.failed(None, 1, time.perf_counter() - start)
            return _failure(error)
        return Job(rows, batch, bundle, bundle.models.arms[choice.version], choice, hints.synthetic, start)

    def finish(self, jobs: Sequence[Job]) -> list[Answer]:
        """Return the answers to jobs, in their order; jobs for the same model are scored in one batch."""
        if len(jobs) == 1:
            return [self._finish_alone(jobs[0])]
        groups: dict[int, list[int]] = {}
        for number, job in enumerate(jobs):
            groups.setdefault(id(job.arm), []).append(number)
        answers: dict[int, Answer] = {}
        for numbers in groups.values():
            together = [row for number in numbers for row in jobs[number].rows]
            try:
                scored = jobs[numbers[0]].arm.score_rows(together)
            except ModelFailedError:
                # One row failed; the other jobs still get an answer.
                answers |= {number: self._finish_alone(jobs[number]) for number in numbers}
                continue
            first = 0
            for number in numbers:
                count = len(jobs[number].rows)
                answers[number] = self._answered(jobs[number], scored[first : first + count])
                first += count
        return [answers[number] for number in range(len(jobs))]

    def refuse(self, error: InvalidRequestError) -> Answer:
        """Return the answer to an invalid request, and count it."""
        self._metrics.refused(error.reason)
        return Answer(error.status, problem(error.status, error.detail, error.field), PROBLEM)

    def _finish_alone(self, job: Job) -> Answer:
        try:
            return self._answered(job, job.arm.score_rows(job.rows))
        except ModelFailedError as error:
            log.error("%s: %s", error, error.why)  # noqa: TRY400 - the traceback of the model adds nothing
            seconds = time.perf_counter() - job.start
            self._metrics.failed(job.choice.version, len(job.rows), seconds)
            self._keep(job, [self._new_id() for _ in job.rows], [FAILED] * len(job.rows), seconds)
            return _failure(error)

    def _answered(self, job: Job, scored: Sequence[Scored]) -> Answer:
        classes = job.bundle.classes
        version, why = job.choice
        ids: list[bytes] = []
        indices: list[int] = []
        predictions: list[Prediction] = []
        for index, chances in scored:
            name = self._new_id()
            ids.append(name)
            indices.append(index)
            predictions.append(
                Prediction(
                    index, classes[index], dict(zip(classes, chances, strict=True)), version, name.hex(), why
                )
            )
        body = self._encode(Predictions(predictions) if job.batch else predictions[0])
        seconds = time.perf_counter() - job.start
        self._metrics.answered(version, indices, seconds, synthetic=job.synthetic)
        self._keep(job, ids, indices, seconds)
        return Answer(200, body, JSON, version)

    def _keep(self, job: Job, ids: Sequence[bytes], indices: Sequence[int], seconds: float) -> None:
        ring = job.bundle.ring
        if ring is None:
            return
        now = time.time_ns()
        arm, why = _ARMS[job.choice.version], _REASONS[job.choice.reason]
        for name, index, row in zip(ids, indices, job.rows, strict=True):
            ring.append(
                time_ns=now,
                prediction_id=name,
                latency=seconds,
                class_index=index,
                arm=arm,
                why=why,
                synthetic=job.synthetic,
                row=row,
            )

    def _choose(self, hints: RoutingHints) -> Choice:
        if hints.forced is not None:
            if hints.forced not in self.bundle.models.arms:
                raise NoModelError(f"the model {hints.forced} that the request names is unavailable")
            return Choice(hints.forced, FORCED)
        if self._live.generation != self._generation:
            self._follow_split()
        if hints.user is None:
            choice = self._by_chance[self._draw() < self._first_share]
        else:
            choice = self._split.choose(position(hints.user, self._live.salt), STICKY)
        if choice is None:
            raise NoModelError(self._no_model)
        return choice

    def _follow_split(self) -> None:
        # The generation first: a change after it is then seen at the next request.
        self._generation = self._live.generation
        arms = self.bundle.models.arms
        self._split = self.split
        self._first_share = self._split.configured[VERSIONS[0]]
        # The choices of both outcomes of a draw, computed once for a split.
        last = 1 - 2**-53
        self._by_chance = {
            True: self._split.choose(0.0, SPLIT) if self._first_share > 0 else None,
            False: self._split.choose(last, SPLIT),
        }
        idle = ", ".join(version for version in arms if self._split.weights[version] == 0)
        self._no_model = (
            f"the model with all of the weight is unavailable, and the weight of {idle} is 0"
            if arms
            else "no model is loaded"
        )

    def _new_id(self) -> bytes:
        # A system call for each id would cost as much as decoding a request.
        start = self._next_id
        if start >= len(self._ids):
            self._ids = os.urandom(16 * _IDS_AT_ONCE)
            start = 0
        self._next_id = start + 16
        return self._ids[start : start + 16]


def _failure(error: PredictionFailedError) -> Answer:
    detail = f"{error}. {error.hint}" if error.hint else str(error)
    return Answer(error.status, problem(error.status, detail), PROBLEM)


def internal_error() -> Answer:
    """Return the answer to a request on which the service itself failed."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return Answer(status, problem(status, "the server failed on this request"), PROBLEM)

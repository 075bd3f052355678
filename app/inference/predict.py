"""POST /predict from body to body: validate, choose an arm, score, count. Knows nothing of Flask or of a server."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from app.errors import InvalidRequestError, ModelFailedError, NoModelError, PredictionFailedError
from app.manifest import VERSIONS
from app.shm.ring_buffer import FAILED, WHYS
from app.traffic.assignment import place
from app.traffic.routing import FORCED, SPLIT, STICKY, Choice, Split
from app.traffic.routing_hints import NOBODY, Asked
from app.wire.body import JSON
from app.wire.problems import CONTENT_TYPE as PROBLEM
from app.wire.problems import problem
from app.wire.schemas import Prediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.inference.decode import Row
    from app.inference.metrics import Metrics
    from app.inference.model_set import Serving
    from app.inference.models import Model, Scored
    from app.traffic.split import LiveSplit

log = logging.getLogger("app")
_ARMS = {version: index for index, version in enumerate(VERSIONS)}
_WHYS = {why: index for index, why in enumerate(WHYS)}
_IDS_AT_ONCE = 256


class Answer(NamedTuple):
    """What goes back to the client."""

    status: int
    body: bytes
    content_type: str = JSON
    version: str | None = None
    """The model that answered."""


class Job(NamedTuple):
    """A valid request and the arm that will answer it."""

    rows: list[Row]
    batch: bool
    serving: Serving
    arm: Model
    choice: Choice
    synthetic: bool
    start: float


class PredictService:
    """Answers predictions. One object per worker, shared by whatever front takes the requests.

    A front that has several requests at hand takes `prepare` for each and `finish` for all of them: the models then
    score them together, which costs little more than one of them alone.
    """

    def __init__(
        self, *, serving: Serving, live: LiveSplit, metrics: Metrics, draw: Callable[[], float]
    ) -> None:
        """draw: a number in [0, 1) for every request."""
        self._live = live
        self._metrics = metrics
        self._draw = draw
        self._encode = msgspec.json.Encoder().encode
        self._ids = b""
        self._next_id = 0
        self.use(serving)

    def use(self, serving: Serving) -> None:
        """Serve with this from the next request on; what was prepared before is finished with what it was given."""
        self.serving = serving
        self._follow_split()

    @property
    def split(self) -> Split:
        """The split in force, with the arms that are up. For any thread."""
        return Split(*VERSIONS, *self._live.weights, up=frozenset(self.serving.models.arms))

    def answer(self, body: bytes, ask: Asked = NOBODY) -> Answer:
        """The answer to one request body of type application/json. Counts it; never raises ApiError."""
        prepared = self.prepare(body, ask)
        return prepared if isinstance(prepared, Answer) else self.finish([prepared])[0]

    def prepare(self, body: bytes, ask: Asked = NOBODY) -> Job | Answer:
        """What there is to score for this request body, or the answer where there is nothing. Never raises ApiError."""
        start = time.perf_counter()
        serving = self.serving
        try:
            rows, batch = serving.rows(body)
            choice = self._choose(ask)
        except InvalidRequestError as error:
            return self.refuse(error)
        except NoModelError as error:
            self._metrics.failed(None, 1, time.perf_counter() - start)
            return _failure(error)
        return Job(rows, batch, serving, serving.models.arms[choice.version], choice, ask.synthetic, start)

    def finish(self, jobs: Sequence[Job]) -> list[Answer]:
        """The answers to these jobs, in their order; jobs for the same arm are scored together."""
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
                # One of them has no answer: the others still have theirs.
                answers |= {number: self._finish_alone(jobs[number]) for number in numbers}
                continue
            first = 0
            for number in numbers:
                count = len(jobs[number].rows)
                answers[number] = self._answered(jobs[number], scored[first : first + count])
                first += count
        return [answers[number] for number in range(len(jobs))]

    def refuse(self, error: InvalidRequestError) -> Answer:
        """The answer to a request that is the client's fault; counts it."""
        self._metrics.refused(error.reason)
        return Answer(error.status, problem(error.status, error.detail, error.field), PROBLEM)

    def _finish_alone(self, job: Job) -> Answer:
        try:
            return self._answered(job, job.arm.score_rows(job.rows))
        except ModelFailedError as error:
            log.error("%s: %s", error, error.why)  # noqa: TRY400 - the model's own trace says nothing more
            seconds = time.perf_counter() - job.start
            self._metrics.failed(job.choice.version, len(job.rows), seconds)
            self._keep(job, [self._new_id() for _ in job.rows], [FAILED] * len(job.rows), seconds)
            return _failure(error)

    def _answered(self, job: Job, scored: Sequence[Scored]) -> Answer:
        classes = job.serving.classes
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
        ring = job.serving.ring
        if ring is None:
            return
        now = time.time_ns()
        arm, why = _ARMS[job.choice.version], _WHYS[job.choice.reason]
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

    def _choose(self, ask: Asked) -> Choice:
        if ask.forced is not None:
            if ask.forced not in self.serving.models.arms:
                raise NoModelError(f"the model {ask.forced} that the request asks for is off")
            return Choice(ask.forced, FORCED)
        if self._live.generation != self._generation:
            self._follow_split()
        if ask.user is None:
            choice = self._by_chance[self._draw() < self._first_share]
        else:
            choice = self._split.choose(place(ask.user, self._live.salt), STICKY)
        if choice is None:
            raise NoModelError(self._no_model)
        return choice

    def _follow_split(self) -> None:
        # In this order: a change in between is seen at the next request.
        self._generation = self._live.generation
        arms = self.serving.models.arms
        self._split = self.split
        self._first_share = self._split.configured[VERSIONS[0]]
        # What the two outcomes of a draw come to, worked out once.
        last = 1 - 2**-53
        self._by_chance = {
            True: self._split.choose(0.0, SPLIT) if self._first_share > 0 else None,
            False: self._split.choose(last, SPLIT),
        }
        idle = ", ".join(version for version in arms if self._split.weights[version] == 0)
        self._no_model = (
            f"the model that the weights send all traffic to is off, and the weight of {idle} is 0"
            if arms
            else "no model is loaded"
        )

    def _new_id(self) -> bytes:
        # Asking the system for 16 bytes at a time would cost as much as decoding a request.
        start = self._next_id
        if start >= len(self._ids):
            self._ids = os.urandom(16 * _IDS_AT_ONCE)
            start = 0
        self._next_id = start + 16
        return self._ids[start : start + 16]


def _failure(error: PredictionFailedError) -> Answer:
    detail = f"{error}. {error.hint}" if error.hint else str(error)
    return Answer(error.status, problem(error.status, detail), PROBLEM)

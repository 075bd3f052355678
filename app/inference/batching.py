"""Batch the predictions that arrive in one turn of the event loop.

Nothing waits for a batch to fill: while the models score one, requests gather in the sockets for the next. Batches grow
with the load and have one request without it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

from app.inference.predict import Answer, internal_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.inference.predict import Job, PredictService
    from app.traffic.routing_hints import RoutingHints

log = logging.getLogger("app")
Client = TypeVar("Client")


class PredictionBatcher(Generic[Client]):
    """Scores predictions in batches, on the thread of the event loop."""

    def __init__(
        self,
        service: PredictService,
        call_soon: Callable[[Callable[[], None]], object],
        deliver: Callable[[Client, Answer], None],
    ) -> None:
        """call_soon: schedules a call at the end of the loop's turn. deliver: takes the answer for a client."""
        self._service = service
        self._call_soon = call_soon
        self._deliver = deliver
        self._jobs: list[Job] = []
        self._clients: list[Client] = []

    def submit(self, client: Client, body: bytes, hints: RoutingHints) -> None:
        """Add a prediction to the batch of this turn; deliver the answer now where nothing is to be scored."""
        try:
            prepared = self._service.prepare(body, hints)
        except Exception:
            log.exception("unhandled error")
            prepared = internal_error()
        if isinstance(prepared, Answer):
            self._deliver(client, prepared)
            return
        self._jobs.append(prepared)
        self._clients.append(client)
        if len(self._jobs) == 1:
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Score the batch and deliver its answers."""
        jobs, clients = self._jobs, self._clients
        if not jobs:
            return
        self._jobs, self._clients = [], []
        try:
            answers = self._service.finish(jobs)
        except Exception:
            log.exception("unhandled error")
            answers = [internal_error()] * len(jobs)
        for client, answer in zip(clients, answers, strict=True):
            self._deliver(client, answer)

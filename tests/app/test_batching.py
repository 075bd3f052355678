"""Predictions of one turn of the event loop are scored in one batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.api.factory import build_worker
from app.inference.batching import PredictionBatcher
from app.inference.predict import PredictService
from app.settings import ApiSettings
from app.traffic.routing_hints import NO_HINTS, RoutingHints

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.inference.predict import Answer

GOOD = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


class Turn:
    """A batcher with a turn of the loop that ends when the test says so."""

    def __init__(self, service: PredictService) -> None:
        self.scheduled: list[Callable[[], None]] = []
        self.delivered: list[tuple[str, Answer]] = []
        self.batcher = PredictionBatcher[str](
            service, self.scheduled.append, lambda client, answer: self.delivered.append((client, answer))
        )

    def end(self) -> None:
        scheduled, self.scheduled = self.scheduled, []
        for call in scheduled:
            call()

    @property
    def statuses(self) -> dict[str, int]:
        return {client: answer.status for client, answer in self.delivered}


@pytest.fixture
def service(trained: Path, tmp_path: Path) -> PredictService:
    return build_worker(ApiSettings(models_dir=trained, state_dir=tmp_path / "state")).service


def test_a_turn_is_one_batch_and_each_client_gets_its_own_answer(service: PredictService) -> None:
    turn = Turn(service)
    for client, version in (("a", "v1"), ("b", "v2"), ("c", "v1")):
        turn.batcher.submit(client, GOOD, RoutingHints(forced=version))
    assert (len(turn.scheduled), turn.delivered) == (1, [])
    turn.end()
    assert [(client, json.loads(answer.body)["model_version"]) for client, answer in turn.delivered] == [
        ("a", "v1"),
        ("b", "v2"),
        ("c", "v1"),
    ]


def test_an_invalid_request_is_answered_at_once(service: PredictService) -> None:
    turn = Turn(service)
    turn.batcher.submit("good", GOOD, NO_HINTS)
    turn.batcher.submit("wrong", b"{}", NO_HINTS)
    assert turn.statuses == {"wrong": 422}
    turn.end()
    assert turn.statuses == {"wrong": 422, "good": 200}


def test_after_a_flush_nothing_holds_the_models_and_the_turn_ends_without_a_second_answer(
    service: PredictService,
) -> None:
    turn = Turn(service)
    turn.batcher.submit("a", GOOD, NO_HINTS)
    turn.batcher.flush()
    service.bundle.close()
    assert turn.statuses == {"a": 200}
    turn.end()
    assert len(turn.delivered) == 1


def test_an_error_of_the_service_itself_is_answered_500(
    service: PredictService, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = Turn(service)

    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(service, "finish", fail)
    turn.batcher.submit("a", GOOD, NO_HINTS)
    turn.batcher.submit("b", GOOD, NO_HINTS)
    turn.end()
    monkeypatch.setattr(service, "prepare", fail)
    turn.batcher.submit("c", GOOD, NO_HINTS)
    assert turn.statuses == {"a": 500, "b": 500, "c": 500}

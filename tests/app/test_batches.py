"""Batches of rows, sticky and forced assignments, and their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.errors import ModelFailedError
from app.inference.models import load_models
from app.inference.predict import Answer, Job, PredictService
from app.shm.ring_buffer import FAILED, REASONS, Records, RingReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flask.testing import FlaskClient

    from app.inference.models import Scored
    from tests.app.conftest import MakeClient

SETOSA, VIRGINICA = [5.1, 3.5, 1.4, 0.2], [6.3, 2.5, 5.0, 1.9]
GOOD = {"features": SETOSA}


def service_of(client: FlaskClient) -> PredictService:
    service = client.application.extensions["onebox"]
    assert isinstance(service, PredictService)
    return service


def records_of(client: FlaskClient) -> Records:
    bundle = service_of(client).bundle
    return RingReader(bundle.ring_dir / "ring-0.bin", 4).take().records


def metric(client: FlaskClient, name: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.name == name)


def test_each_row_of_a_batch_is_answered_as_it_is_alone(client: FlaskClient) -> None:
    by_name = dict(
        zip(
            ["petal width (cm)", "sepal length (cm)", "petal length (cm)", "sepal width (cm)"],
            [1.9, 6.3, 5.0, 2.5],
            strict=True,
        )
    )
    answers = client.post("/predict", json={"instances": [SETOSA, VIRGINICA, by_name]}).get_json()[
        "predictions"
    ]
    assert [answer["class"] for answer in answers] == ["setosa", "virginica", "virginica"]
    assert len({answer["prediction_id"] for answer in answers}) == 3
    client.post("/predict", json=GOOD)
    alone = client.post("/predict", json={"features": VIRGINICA}).get_json()
    assert alone["model_version"] == answers[1]["model_version"] == answers[2]["model_version"]
    assert alone["probabilities"] == answers[1]["probabilities"] == answers[2]["probabilities"]


def test_a_batch_counts_every_row_and_one_latency(client: FlaskClient) -> None:
    client.post("/predict", json={"instances": [SETOSA] * 1000})
    client.post("/predict", json=GOOD)
    assert metric(client, "prediction_requests_total") == 1001
    assert metric(client, "prediction_class_total") == 1001
    assert metric(client, "prediction_latency_seconds_count") == 2


def test_rows_that_are_scored_together_get_the_answers_they_get_alone(trained: Path) -> None:
    random = np.random.default_rng(3)
    rows = random.uniform([4, 2, 1, 0.1], [8, 4.5, 7, 2.5], (3000, 4)).tolist()
    for arm in load_models(trained).arms.values():
        assert arm.score_rows(rows) == [arm.score(row) for row in rows]


def test_jobs_of_both_arms_are_finished_in_their_order(client: FlaskClient) -> None:
    service = service_of(client)
    jobs = [service.prepare(b'{"features": [6.3, 2.5, 5.0, 1.9]}') for _ in range(5)]
    assert all(isinstance(job, Job) for job in jobs)
    versions = [job.choice.version for job in jobs if isinstance(job, Job)]
    assert versions == ["v1", "v2", "v1", "v2", "v1"]
    answers = service.finish([job for job in jobs if isinstance(job, Job)])
    assert [answer.status for answer in answers] == [200] * 5
    assert [f'"{version}"'.encode() in a.body for version, a in zip(versions, answers, strict=True)] == [
        True
    ] * 5


class Picky:
    """A model that fails on one row and on whatever it is scored with."""

    def score(self, row: Sequence[float]) -> Scored:
        return self.score_rows([row])[0]

    def score_rows(self, rows: Sequence[Sequence[float]]) -> list[Scored]:
        if VIRGINICA in rows:
            raise ModelFailedError("v1", "not this one")
        return [(0, [1.0, 0.0, 0.0]) for _ in rows]

    def check(self) -> None:
        pass


def test_a_row_that_cannot_be_scored_fails_alone(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(weights=(100, 0))
    service = service_of(client)
    monkeypatch.setitem(service.bundle.models.arms, "v1", Picky())
    bodies = [
        b'{"features": [5, 3, 1, 0]}',
        b'{"features": [6.3, 2.5, 5.0, 1.9]}',
        b'{"features": [5, 3, 1, 1]}',
    ]
    jobs = [job for job in map(service.prepare, bodies) if not isinstance(job, Answer)]
    assert [answer.status for answer in service.finish(jobs)] == [200, 500, 200]
    assert records_of(client)["class_index"].tolist() == [0, FAILED, 0]
    assert metric(client, "prediction_errors_total") == 1


def test_a_user_keeps_the_arm_by_header_and_by_cookie(make_client: MakeClient) -> None:
    client = make_client()
    answers: list[dict[str, Any]] = []
    for number in range(40):
        name = f"user-{number}"
        answers += [
            client.post("/predict", json=GOOD, headers={"X-User-Id": name}).get_json() for _ in range(2)
        ]
        client.set_cookie("onebox_user", name)
        answers.append(client.post("/predict", json=GOOD).get_json())
        client.delete_cookie("onebox_user")
        assert len({answer["model_version"] for answer in answers[-3:]}) == 1
    assert {answer["reason"] for answer in answers} == {"sticky"}
    assert {answer["model_version"] for answer in answers} == {"v1", "v2"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_forced_version_answers_and_is_synthetic(version: str, client: FlaskClient) -> None:
    answers = [
        client.post("/predict", json=GOOD, headers={"X-Model-Version": version, "X-User-Id": "a"}).get_json()
        for _ in range(3)
    ]
    assert {(answer["model_version"], answer["reason"]) for answer in answers} == {(version, "forced")}
    assert records_of(client)["synthetic"].all()
    assert metric(client, "model_drift_window_rows") == 0
    assert metric(client, "synthetic_predictions_total") == 3


def test_synthetic_requests_are_answered_and_kept_out_of_drift(client: FlaskClient) -> None:
    for value in ("1", "true", "1"):
        answer = client.post("/predict", json=GOOD, headers={"X-Synthetic": value})
        assert (answer.status_code, answer.get_json()["reason"]) == (200, "split")
    client.post("/predict", json=GOOD, headers={"X-Synthetic": "0"})
    assert metric(client, "prediction_requests_total") == 4
    assert metric(client, "model_drift_window_rows") == 1
    assert records_of(client)["synthetic"].tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Model-Version", "v3"),
        ("X-Model-Version", ""),
        ("X-Synthetic", "maybe"),
        ("X-Synthetic", "TRUE"),
        ("X-User-Id", ""),
    ],
)
def test_a_header_that_cannot_be_followed_is_refused_by_name(
    header: str, value: str, client: FlaskClient
) -> None:
    answer = client.post("/predict", json=GOOD, headers={header: value})
    assert (answer.status_code, answer.get_json()["field"]) == (422, header)
    assert metric(client, "prediction_requests_total") == 0


def test_a_forced_version_that_is_off_is_not_replaced(artifacts: Path, make_client: MakeClient) -> None:
    (artifacts / "model_v2.onnx").write_bytes(b"")
    client = make_client(models=artifacts)
    answer = client.post("/predict", json=GOOD, headers={"X-Model-Version": "v2"})
    assert answer.status_code == 503
    assert "v2" in answer.get_json()["detail"]


def test_every_answered_row_leaves_a_record_with_its_id(client: FlaskClient) -> None:
    single = client.post("/predict", json={"features": VIRGINICA}, headers={"X-User-Id": "anna"}).get_json()
    batch = client.post("/predict", json={"instances": [SETOSA, VIRGINICA]}).get_json()["predictions"]
    records = records_of(client)
    wanted = [single, *batch]
    assert [bytes(record["prediction_id"]).hex() for record in records] == [
        w["prediction_id"] for w in wanted
    ]
    assert records["class_index"].tolist() == [w["prediction"] for w in wanted]
    assert [f"v{arm + 1}" for arm in records["arm"]] == [w["model_version"] for w in wanted]
    assert [REASONS[why] for why in records["why"]] == ["sticky", "split", "split"]
    assert records["features"].tolist() == np.asarray([VIRGINICA, SETOSA, VIRGINICA], np.float32).tolist()
    assert (records["latency"] > 0).all()

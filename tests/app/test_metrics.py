from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.errors import ModelFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.testing import FlaskClient

    from app.inference.models import Scored
    from tests.app.conftest import MakeClient

GOOD = {"features": [5.1, 3.5, 1.4, 0.2]}
TYPES = {
    "prediction_requests": "counter",
    "model_version_requests": "counter",
    "prediction_latency_seconds": "histogram",
    "prediction_errors": "counter",
    "model_drift_score": "gauge",
    "model_drift_window_rows": "gauge",
    "invalid_requests": "counter",
    "release_info": "gauge",
    "model_arm_up": "gauge",
    "prediction_class": "counter",
}


def samples(client: FlaskClient) -> dict[str, float]:
    """'name{v1,setosa}' with the labels' values in the order of their names -> value; series are unique."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            values = ",".join(value for _, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{values}}}" if values else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def test_every_documented_metric_is_there_from_the_start_at_zero(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert {name: families[name].type for name in TYPES} == TYPES
    found = samples(client)
    assert found["prediction_requests_total"] == 0
    assert found["model_version_requests_total{v1}"] == found["model_version_requests_total{v2}"] == 0
    assert found["prediction_errors_total"] == 0
    assert found["prediction_latency_seconds_count"] == 0
    assert found["model_drift_window_rows"] == 0
    assert found["model_arm_up{v1}"] == found["model_arm_up{v2}"] == 1
    assert sum(key.startswith("prediction_class_total") for key in found) == 6
    assert found["invalid_requests_total{out_of_range}"] == 0
    assert "model_drift_score" not in found
    assert [value for key, value in found.items() if key.startswith("release_info")] == [1]


def test_the_latency_alert_finds_an_edge_at_one_second(client: FlaskClient) -> None:
    assert found_edges(client) >= {"0.001", "0.05", "1.0", "+Inf"}


def found_edges(client: FlaskClient) -> set[str]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        s.labels["le"] for f in families for s in f.samples if s.name == "prediction_latency_seconds_bucket"
    }


def test_predictions_are_counted_by_version_and_class(client: FlaskClient) -> None:
    for _ in range(5):
        client.post("/predict", json=GOOD)
    client.post("/predict", json={"features": [6.3, 2.5, 5.0, 1.9]})
    found = samples(client)
    assert found["prediction_requests_total"] == 6
    assert found["model_version_requests_total{v1}"] == found["model_version_requests_total{v2}"] == 3
    assert found["prediction_class_total{setosa,v1}"] == 3
    assert found["prediction_class_total{setosa,v2}"] == 2
    assert found["prediction_class_total{virginica,v2}"] == 1
    assert found["prediction_latency_seconds_count"] == 6
    assert found["model_drift_window_rows"] == 6
    assert found["prediction_errors_total"] == 0


def test_the_drift_score_appears_with_the_thirtieth_row(client: FlaskClient) -> None:
    for _ in range(29):
        client.post("/predict", json=GOOD)
    assert "model_drift_score" not in samples(client)
    client.post("/predict", json=GOOD)
    found = samples(client)
    assert found["model_drift_window_rows"] == 30
    # Thirty times one row: the spread is gone, so every feature adds a std_diff of 1.
    assert 0.5 < found["model_drift_score"] <= 1


class Broken:
    """A model that was loaded and fails on every row."""

    def score(self, row: Sequence[float]) -> Scored:
        raise ModelFailedError("v2", "out of memory")

    def score_rows(self, rows: Sequence[Sequence[float]]) -> list[Scored]:
        raise ModelFailedError("v2", "out of memory")

    def check(self) -> None:
        raise ModelFailedError("v2", "out of memory")


@pytest.fixture
def half_broken(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    client = make_client()
    service = client.application.extensions["onebox"]
    monkeypatch.setitem(service.bundle.models.arms, "v2", Broken())
    return client


def test_a_model_that_fails_counts_as_error_and_leaves_the_other_alone(half_broken: FlaskClient) -> None:
    answers = [half_broken.post("/predict", json=GOOD) for _ in range(10)]
    assert [answer.status_code for answer in answers] == [200, 500] * 5
    assert answers[1].content_type == "application/problem+json"
    assert "out of memory" not in answers[1].text
    found = samples(half_broken)
    assert found["prediction_errors_total"] == 5
    assert found["prediction_requests_total"] == 10
    assert found["model_version_requests_total{v2}"] == 5
    assert found["prediction_latency_seconds_count"] == 10
    assert found["model_drift_window_rows"] == 5


def test_a_model_whose_canary_fails_now_makes_the_service_not_ready(half_broken: FlaskClient) -> None:
    ready = half_broken.get("/ready")
    assert ready.status_code == 503
    assert ready.json == {"status": "degraded", "models": {"v1": "up", "v2": "out of memory"}}


def test_two_services_share_no_total(make_client: MakeClient) -> None:
    first, second = make_client(), make_client()
    first.post("/predict", json=GOOD)
    assert samples(first)["prediction_requests_total"] == 1
    assert samples(second)["prediction_requests_total"] == 0

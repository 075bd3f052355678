"""Drift as the API shows it: of real answers, by every worker, over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from app.settings import ApiSettings
from app.training.data import iris

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient
    from numpy.typing import NDArray

    from tests.app.conftest import MakeClient


def usual_rows(count: int) -> NDArray[np.float32]:
    data = iris()
    return data.training_rows[np.random.default_rng(4).integers(0, len(data.training), count)]


def send(client: FlaskClient, rows: NDArray[np.float32], **headers: str) -> None:
    answer = client.post("/predict", json={"instances": rows.tolist()}, headers=headers)
    assert answer.status_code == 200, answer.get_json()


def gauges(client: FlaskClient) -> dict[str, dict[tuple[str, ...], float]]:
    """name -> label values -> value"""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_before_the_first_row_drift_is_warming_up(client: FlaskClient) -> None:
    report = client.get("/drift").get_json()
    assert (report["status"], report["rows"], report["minimum"], report["window"]) == (
        "warming_up",
        0,
        50,
        200,
    )
    assert (report["score"], report["features"], report["classes"], report["joint"]) == (None, [], [], None)
    shown = gauges(client)
    assert shown["model_drift_warming_up"] == {(): 1.0}
    assert shown["model_drift_detected"] == {(): 0.0}
    assert "model_feature_drift_ratio" not in shown


def test_usual_rows_are_steady_and_every_feature_and_class_is_shown(client: FlaskClient) -> None:
    send(client, usual_rows(200))
    report = client.get("/drift").get_json()
    assert (report["status"], report["rows"]) == ("steady", 200)
    assert [item["name"] for item in report["features"]] == iris().feature_names
    assert [item["name"] for item in report["classes"]] == iris().classes
    assert sum(item["share"] for item in report["classes"]) == pytest.approx(1.0, abs=1e-5)
    assert sum(item["expected_share"] for item in report["classes"]) == pytest.approx(1.0, abs=1e-5)
    assert report["features"][0]["mean"] == pytest.approx(usual_rows(200)[:, 0].mean(), rel=1e-4)
    shown = gauges(client)
    assert shown["model_drift_warming_up"] == {(): 0.0}
    assert shown["model_drift_score"][()] == pytest.approx(report["score"])
    assert set(shown["model_feature_drift_ratio"]) == {(name,) for name in iris().feature_names}
    assert all(ratio <= 1 for ratio in shown["model_class_drift_ratio"].values())


def test_a_feature_that_moved_is_named_and_counted_by_prometheus(client: FlaskClient) -> None:
    rows = usual_rows(200)
    rows[:, 1] += iris().training_rows[:, 1].std()
    send(client, rows)
    report = client.get("/drift").get_json()
    assert report["status"] == "drifted"
    assert [item["name"] for item in report["features"] if item["drifted"]] == ["sepal width (cm)"]
    # The document's score does not see it.
    assert report["score"] < report["score_threshold"]
    shown = gauges(client)
    assert shown["model_drift_detected"] == {(): 1.0}
    assert shown["model_feature_drift_ratio"]["sepal width (cm)",] > 1


def test_the_report_follows_the_latest_rows(client: FlaskClient) -> None:
    send(client, usual_rows(200) + 5)
    assert client.get("/drift").get_json()["status"] == "drifted"
    send(client, usual_rows(200))
    assert client.get("/drift").get_json()["status"] == "steady"


def test_synthetic_rows_are_no_drift(client: FlaskClient) -> None:
    send(client, usual_rows(200) + 5, **{"X-Synthetic": "1"})
    assert client.get("/drift").get_json()["rows"] == 0


def test_thirty_clicks_on_the_default_sliders_are_no_alarm(client: FlaskClient) -> None:
    send(client, np.repeat([[5.8, 3.0, 3.8, 1.2]], 30, axis=0).astype(np.float32))
    assert client.get("/drift").get_json()["status"] == "warming_up"
    assert gauges(client)["model_drift_detected"] == {(): 0.0}


def test_the_window_survives_a_restart_also_under_another_split(trained: Path, tmp_path: Path) -> None:
    def start(weights: tuple[int, int]) -> FlaskClient:
        settings = ApiSettings(
            weights=weights, models_dir=trained, state_dir=tmp_path / "state", data_dir=tmp_path / "data"
        )
        return create_app(settings, registry=CollectorRegistry()).test_client()

    first = start((50, 50))
    send(first, usual_rows(120))
    before = first.get("/drift").get_json()
    second = start((10, 90))
    assert second.get("/drift").get_json() == before
    send(second, usual_rows(30))
    assert second.get("/drift").get_json()["rows"] == 150
    # Workers see each other's rows.
    assert first.get("/drift").get_json()["rows"] == 150


def test_without_models_drift_is_unavailable(tmp_path: Path, make_client: MakeClient) -> None:
    client = make_client(models=tmp_path / "nothing")
    answer = client.get("/drift")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "unavailable")

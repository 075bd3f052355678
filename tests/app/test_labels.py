"""Labels and the experiment that they decide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from app.training.data import iris

if TYPE_CHECKING:
    from pathlib import Path

from tests.app.recorded import GOOD, Service


def test_a_hundred_equal_posts_count_once(service: Service) -> None:
    made = service.predict()
    service.recorder.record_new()
    answers = [service.feedback(made["prediction_id"], "setosa") for _ in range(100)]
    assert {status for status, _ in answers} == {200}
    assert [body["recorded"] for _, body in answers] == ["new"] + ["same"] * 99
    assert service.experiment()["labelled"] == {
        "both_right": 1,
        "only_v1": 0,
        "only_v2": 0,
        "both_wrong": 0,
    }


def test_a_label_may_come_before_the_recorder_and_is_corrected_by_a_later_one(service: Service) -> None:
    made = service.predict()
    assert service.feedback(made["prediction_id"], "virginica") == (
        200,
        {"prediction_id": made["prediction_id"], "label": "virginica", "recorded": "new"},
    )
    service.recorder.record_new()
    assert service.logged()[0]["label"] == "virginica"
    assert service.feedback(made["prediction_id"], "setosa")[1]["recorded"] == "changed"
    assert service.experiment()["labelled"]["both_right"] == 1


def test_a_label_may_come_late_after_a_restart(trained: Path, tmp_path: Path) -> None:
    first = Service(trained, tmp_path)
    made = first.predict()
    first.recorder.record_new()
    first.recorder.close()
    second = Service(trained, tmp_path)
    assert second.feedback(made["prediction_id"], "setosa")[0] == 200
    assert second.experiment()["labelled"]["both_right"] == 1
    second.recorder.close()


def test_feedback_on_an_unknown_prediction_is_404(service: Service) -> None:
    service.predict()
    status, body = service.feedback("ab" * 16, "setosa")
    assert (status, body["field"]) == (404, "prediction_id")
    assert body["detail"].startswith(f"there is no prediction {'ab' * 16}. ")


@pytest.mark.parametrize(
    ("prediction_id", "label", "field"),
    [
        (None, "tulip", "label"),
        (None, "Setosa", "label"),
        (None, 0, None),
        ("xyz", "setosa", "prediction_id"),
        ("AB" * 16, "setosa", "prediction_id"),
        ("", "setosa", "prediction_id"),
        (7, "setosa", None),
    ],
)
def test_feedback_that_cannot_be_meant_is_422(
    prediction_id: object, label: object, field: str | None, service: Service
) -> None:
    made = service.predict()["prediction_id"]
    status, body = service.feedback(made if prediction_id is None else prediction_id, label)
    assert (status, body.get("field")) == (422, field)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b'{"label": "setosa"}', 422),
        (b"\xff", 400),
        (b"x" * 70_000, 413),
    ],
)
def test_a_broken_feedback_body_is_a_problem(body: bytes, status: int, service: Service) -> None:
    answer = service.client.post("/feedback", data=body, content_type="application/json")
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


@pytest.mark.parametrize("limit", ["0", "501", "x", "-1", "", "1e2", "²"])
def test_a_history_of_no_length_is_refused(limit: str, service: Service) -> None:
    assert service.client.get(f"/predictions?limit={limit}").status_code == 422


def test_the_experiment_finds_the_better_model(service: Service) -> None:
    """Rows on which the two disagree, labelled with what v2 says."""
    random = np.random.default_rng(9)
    service.recorder.record_new()
    low, high = iris().rows.min(axis=0), iris().rows.max(axis=0)
    for row in random.uniform(low, high, (400, 4)).round(2):
        service.predict([float(value) for value in row])
    service.recorder.record_new()
    rows = [row for row in service.logged() if row["class"] != row["other_class"]]
    assert service.experiment()["verdict"] == "collecting"
    for row in rows:
        right = row["class"] if row["model_version"] == "v2" else row["other_class"]
        assert service.feedback(row["prediction_id"], right)[0] == 200
    found = service.experiment()
    assert found["verdict"] == "v2_better", found["reason"]
    assert found["superiority"]["v2_right_alone"] == len(rows) >= 10
    assert {arm: found["labelled_after"][arm]["only_v2"] > 0 for arm in ("v1", "v2")} == {
        "v1": True,
        "v2": True,
    }
    assert found["arms"]["v1"]["answered"] == found["arms"]["v2"]["answered"] == 200
    assert 0 < found["arms"]["v1"]["latency_p50"] <= found["arms"]["v1"]["latency_p99"]
    assert found["sample_ratio"]["checked"] == 400
    assert found["since"].startswith("20")


def test_a_batch_is_one_draw_of_the_split(service: Service) -> None:
    service.client.post("/predict", json={"instances": [GOOD] * 300})
    service.recorder.record_new()
    service.client.post("/predict", json={"instances": [GOOD] * 300})
    service.recorder.record_new()
    found = service.experiment()
    assert found["compared"] == 600
    # Rows of the first look may have been drawn by another split.
    assert found["sample_ratio"]["checked"] == 1
    assert not found["sample_ratio"]["broken"]


def test_users_that_keep_their_arm_are_no_draws_of_the_split(service: Service) -> None:
    for _ in range(50):
        service.predict(**{"X-User-Id": "one busy user"})
    service.recorder.record_new()
    service.recorder.record_new()
    found = service.experiment()
    assert (found["compared"], found["sample_ratio"]["checked"]) == (50, 0)


def test_models_that_are_one_file_are_no_experiment(artifacts: Path, tmp_path: Path) -> None:
    manifest = json.loads((artifacts / "manifest.json").read_bytes())
    manifest["models"]["v2"] = manifest["models"]["v1"]
    (artifacts / "manifest.json").write_text(json.dumps(manifest))
    service = Service(artifacts, tmp_path)
    service.predict()
    service.recorder.record_new()
    assert service.experiment()["verdict"] == "invalid"
    assert "the same file" in service.experiment()["reason"]
    service.recorder.close()


def test_without_models_the_experiment_is_collecting(tmp_path: Path) -> None:
    service = Service(tmp_path / "nothing", tmp_path)
    assert service.recorder.record_new() == 0
    assert service.experiment()["verdict"] == "collecting"
    assert service.logged() == []
    service.recorder.close()

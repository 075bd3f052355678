"""Predictions, labels and the experiment made of them: workers and the recorder on one data directory."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from app import create_app, log_store
from app.log_store import opened, prune
from app.manifest import read_catalogue
from app.prediction_ring import SLOTS, RingWriter
from app.recorder import Recorder
from app.recorder_status import RecorderStatus, read_status, write_status
from app.settings import ApiSettings, data_dir, rings_dir
from app.tally import latency_bucket, latency_quantile
from app.train_model import iris

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient

GOOD = [5.1, 3.5, 1.4, 0.2]


class Service:
    """A worker and its recorder, each looked at by hand."""

    def __init__(self, models: Path, root: Path, **changes: Any) -> None:
        self.settings = ApiSettings(
            models_dir=models, state_dir=root / "state", data_dir=root / "data", **changes
        )
        self.draws = iter(())
        self.client: FlaskClient = create_app(
            self.settings, registry=CollectorRegistry(), draw=self._draw
        ).test_client()
        self.recorder = Recorder(self.settings)
        self._turn = 0

    def _draw(self) -> float:
        self._turn += 1
        return 0.25 if self._turn % 2 else 0.75

    def predict(self, row: list[float] | None = None, **headers: str) -> dict[str, Any]:
        answer = self.client.post("/predict", json={"features": row or GOOD}, headers=headers)
        assert answer.status_code == 200, answer.json
        return dict(answer.json)

    def feedback(self, prediction_id: object, label: object) -> tuple[int, dict[str, Any]]:
        answer = self.client.post("/feedback", json={"prediction_id": prediction_id, "label": label})
        return answer.status_code, dict(answer.json)

    def experiment(self) -> dict[str, Any]:
        return dict(self.client.get("/experiment").json)

    def logged(self) -> list[dict[str, Any]]:
        return list(self.client.get("/predictions?limit=500").json["predictions"])

    def gauge(self, name: str) -> float:
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        (value,) = [sample.value for family in families for sample in family.samples if sample.name == name]
        return float(value)


@pytest.fixture
def service(trained: Path, tmp_path: Path) -> Iterator[Service]:
    made = Service(trained, tmp_path)
    yield made
    made.recorder.close()


def test_every_answer_is_in_the_log_with_what_the_other_arm_says(service: Service) -> None:
    answers = [service.predict() for _ in range(4)]
    assert service.recorder.look() == 4
    logged = service.logged()
    assert [row["prediction_id"] for row in logged] == [
        answer["prediction_id"] for answer in reversed(answers)
    ]
    assert logged[0]["features"] == dict(zip(iris().feature_names, GOOD, strict=True))
    assert [row["model_version"] for row in logged] == ["v2", "v1", "v2", "v1"]
    assert {(row["class"], row["other_class"], row["label"]) for row in logged} == {
        ("setosa", "setosa", None)
    }
    assert service.gauge("shadow_rows_total") == 4
    assert service.gauge("prediction_log_rows_total") == 4


def test_the_shadow_says_what_that_arm_itself_would_have_said(service: Service) -> None:
    random = np.random.default_rng(8)
    low, high = iris().rows.min(axis=0), iris().rows.max(axis=0)
    rows = [[float(value) for value in row] for row in random.uniform(low, high, (60, 4)).round(2)]
    forced = {
        version: [service.predict(row, **{"X-Model-Version": version})["class"] for row in rows]
        for version in ("v1", "v2")
    }
    for row in rows:
        service.predict(row)
    service.recorder.look()
    real = [row for row in reversed(service.logged()) if not row["synthetic"]]
    for position, row in enumerate(real):
        other = "v1" if row["model_version"] == "v2" else "v2"
        assert row["other_class"] == forced[other][position]
    different = sum(one != two for one, two in zip(forced["v1"], forced["v2"], strict=True))
    assert different > 0
    assert service.experiment()["disagreement_rate"] == pytest.approx(different / 60)


def test_synthetic_answers_are_logged_and_are_no_part_of_the_experiment(service: Service) -> None:
    mark = service.predict(**{"X-Synthetic": "1"})
    service.predict(**{"X-Model-Version": "v1"})
    service.recorder.look()
    assert [(row["synthetic"], row["other_class"]) for row in service.logged()] == [(True, None)] * 2
    assert service.feedback(mark["prediction_id"], "virginica")[0] == 200
    found = service.experiment()
    assert (found["compared"], found["arms"]["v1"]["answered"], found["labelled"]["both_right"]) == (0, 0, 0)
    assert found["sample_ratio"]["checked"] == 0


def test_a_hundred_equal_posts_count_once(service: Service) -> None:
    made = service.predict()
    service.recorder.look()
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
    service.recorder.look()
    assert service.logged()[0]["label"] == "virginica"
    assert service.feedback(made["prediction_id"], "setosa")[1]["recorded"] == "changed"
    assert service.experiment()["labelled"]["both_right"] == 1


def test_a_label_may_come_late_after_a_restart(trained: Path, tmp_path: Path) -> None:
    first = Service(trained, tmp_path)
    made = first.predict()
    first.recorder.look()
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
    service.recorder.look()
    low, high = iris().rows.min(axis=0), iris().rows.max(axis=0)
    for row in random.uniform(low, high, (400, 4)).round(2):
        service.predict([float(value) for value in row])
    service.recorder.look()
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
    service.recorder.look()
    service.client.post("/predict", json={"instances": [GOOD] * 300})
    service.recorder.look()
    found = service.experiment()
    assert found["compared"] == 600
    # Rows of the first look may have been drawn by another split.
    assert found["sample_ratio"]["checked"] == 1
    assert not found["sample_ratio"]["broken"]


def test_users_that_keep_their_arm_are_no_draws_of_the_split(service: Service) -> None:
    for _ in range(50):
        service.predict(**{"X-User-Id": "one busy user"})
    service.recorder.look()
    service.recorder.look()
    found = service.experiment()
    assert (found["compared"], found["sample_ratio"]["checked"]) == (50, 0)


def test_models_that_are_one_file_are_no_experiment(artifacts: Path, tmp_path: Path) -> None:
    manifest = json.loads((artifacts / "manifest.json").read_bytes())
    manifest["models"]["v2"] = manifest["models"]["v1"]
    (artifacts / "manifest.json").write_text(json.dumps(manifest))
    service = Service(artifacts, tmp_path)
    service.predict()
    service.recorder.look()
    assert service.experiment()["verdict"] == "invalid"
    assert "the same file" in service.experiment()["reason"]
    service.recorder.close()


def test_an_arm_that_is_off_leaves_rows_uncompared(artifacts: Path, tmp_path: Path) -> None:
    (artifacts / "model_v2.onnx").unlink()
    service = Service(artifacts, tmp_path)
    for _ in range(4):
        service.predict()
    service.recorder.look()
    found = service.experiment()
    assert (found["compared"], found["disagreement_rate"], found["arms"]["v1"]["answered"]) == (0, None, 4)
    assert [row["other_class"] for row in service.logged()] == [None] * 4
    service.recorder.close()


def test_another_recorder_goes_on_where_one_stopped(service: Service, trained: Path, tmp_path: Path) -> None:
    service.predict()
    service.recorder.look()
    service.predict()
    service.recorder.close()
    service.recorder = Recorder(service.settings)
    assert service.recorder.look() == 1
    assert service.recorder.look() == 0
    assert len(service.logged()) == 2
    assert service.experiment()["compared"] == 2
    assert service.gauge("prediction_log_starts_total") == 2


def test_rows_of_models_before_are_taken_after_a_change(artifacts: Path, tmp_path: Path) -> None:
    service = Service(artifacts, tmp_path)
    service.predict()
    service.recorder.look()
    service.predict()
    manifest = json.loads((artifacts / "manifest.json").read_bytes())
    manifest["data"]["source"] = "another table"
    (artifacts / "manifest.json").write_text(json.dumps(manifest))
    assert service.recorder.look() == 1
    assert len(service.logged()) == 2
    service.recorder.close()


def test_rings_of_models_that_are_gone_are_taken_away_after_a_while(service: Service) -> None:
    service.predict()
    service.recorder.look()
    rings = rings_dir(service.settings)
    for name in ("new", "old", "written"):
        (rings / name).mkdir()
    ring = RingWriter(rings / "written", 4)
    for name in ("old", "written"):
        os.utime(rings / name, (0, 0))
    service.recorder.prune()
    left = {path.name for path in rings.iterdir()}
    assert {"new", "written"} < left
    assert "old" not in left
    assert len(left) == 3
    ring.close()


def test_what_comes_too_fast_is_counted_as_shed(service: Service, trained: Path) -> None:
    catalogue = read_catalogue(trained)
    service.recorder.look()
    directory = rings_dir(service.settings) / catalogue.sha256[:16]
    ring = RingWriter(directory, 4)
    for number in range(SLOTS + 100):
        ring.append(
            time_ns=time.time_ns(),
            prediction_id=number.to_bytes(16, "big"),
            latency=0.001,
            class_index=0,
            arm=0,
            why=0,
            synthetic=False,
            row=GOOD,
        )
    assert service.recorder.look() == SLOTS
    assert service.gauge("prediction_log_shed_total") == 100
    ring.close()


def test_the_log_is_bounded_and_labelled_rows_outlast_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = service.predict()
    service.feedback(first["prediction_id"], "setosa")
    service.client.post("/predict", json={"instances": [GOOD] * 300})
    service.recorder.look()
    with opened(data_dir(service.settings)) as log:
        while prune(log, rows=100, oldest_ns=0):
            pass
        kept = log.execute("SELECT count(*) FROM predictions").fetchone()[0]
        assert kept == 101
    assert service.experiment()["labelled"]["both_right"] == 1
    # The totals of the experiment go on.
    assert service.experiment()["compared"] == 301
    with opened(data_dir(service.settings)) as log:
        assert prune(log, rows=100, oldest_ns=time.time_ns() + 1) == 101
        assert log.execute("SELECT count(*) FROM labels").fetchone()[0] == 0
    monkeypatch.setattr(log_store, "MOST_LABELS", 3)
    for _ in range(5):
        service.feedback(service.predict()["prediction_id"], "setosa")
    with opened(data_dir(service.settings)) as log:
        prune(log, rows=1000, oldest_ns=0)
        assert log.execute("SELECT count(*) FROM labels").fetchone()[0] == 3


def test_one_pruning_takes_a_bounded_part(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_store, "AT_ONCE", 50)
    service.client.post("/predict", json={"instances": [GOOD] * 200})
    service.recorder.look()
    with opened(data_dir(service.settings)) as log:
        assert [prune(log, rows=20, oldest_ns=0) for _ in range(5)] == [50, 50, 50, 30, 0]


def test_a_recorder_that_says_nothing_is_down(service: Service) -> None:
    assert service.gauge("prediction_log_up") == 0
    service.recorder.look()
    assert service.gauge("prediction_log_up") == 1
    old = read_status(service.settings.state_dir)
    write_status(
        service.settings.state_dir, RecorderStatus(time_ns=old.time_ns - 11 * 10**9, recorded=old.recorded)
    )
    assert service.gauge("prediction_log_up") == 0


def test_a_log_that_cannot_be_used_is_503_and_touches_no_prediction(service: Service) -> None:
    service.recorder.close()
    shutil.rmtree(data_dir(service.settings) / "rings", ignore_errors=True)
    path = data_dir(service.settings) / log_store.FILE
    for part in path.parent.glob(f"{log_store.FILE}*"):
        part.unlink()
    path.write_bytes(b"no database" * 100)
    for question in ("/experiment", "/predictions"):
        answer = service.client.get(question)
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    assert service.predict()["class"] == "setosa"
    path.unlink()
    service.recorder = Recorder(service.settings)


def test_without_models_the_experiment_is_collecting(tmp_path: Path) -> None:
    service = Service(tmp_path / "nothing", tmp_path)
    assert service.recorder.look() == 0
    assert service.experiment()["verdict"] == "collecting"
    assert service.logged() == []
    service.recorder.close()


def test_latency_quantiles_are_right_to_six_percent() -> None:
    counts: dict[int, int] = {}
    for number in range(1, 1001):
        bucket = latency_bucket(number / 1e6)
        counts[bucket] = counts.get(bucket, 0) + 1
    for share in (0.5, 0.95, 0.99):
        assert latency_quantile(counts, share) == pytest.approx(share / 1e3, rel=0.07)
    assert latency_quantile({}, 0.5) is None
    assert latency_bucket(0.0) == latency_bucket(1e-9)

"""Predictions, labels and the experiment made of them: workers and the recorder on one data directory."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from app.experiment import log_store
from app.experiment.aggregates import latency_buckets, latency_quantile
from app.experiment.log_store import opened, prune
from app.experiment.recorder import Recorder
from app.experiment.recorder_status import RecorderStatus, read_status, write_status
from app.manifest import read_catalogue
from app.settings import data_dir, rings_dir
from app.shm.ring_buffer import SLOTS, RingWriter
from app.training.data import iris

if TYPE_CHECKING:
    from pathlib import Path

from tests.app.recorded import GOOD, Service


def test_every_answer_is_in_the_log_with_what_the_other_arm_says(service: Service) -> None:
    answers = [service.predict() for _ in range(4)]
    assert service.recorder.record_new() == 4
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
    service.recorder.record_new()
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
    service.recorder.record_new()
    assert [(row["synthetic"], row["other_class"]) for row in service.logged()] == [(True, None)] * 2
    assert service.feedback(mark["prediction_id"], "virginica")[0] == 200
    found = service.experiment()
    assert (found["compared"], found["arms"]["v1"]["answered"], found["labelled"]["both_right"]) == (0, 0, 0)
    assert found["sample_ratio"]["checked"] == 0


def test_an_arm_that_is_off_leaves_rows_uncompared(artifacts: Path, tmp_path: Path) -> None:
    (artifacts / "model_v2.onnx").unlink()
    service = Service(artifacts, tmp_path)
    for _ in range(4):
        service.predict()
    service.recorder.record_new()
    found = service.experiment()
    assert (found["compared"], found["disagreement_rate"], found["arms"]["v1"]["answered"]) == (0, None, 4)
    assert [row["other_class"] for row in service.logged()] == [None] * 4
    service.recorder.close()


def test_another_recorder_goes_on_where_one_stopped(service: Service, trained: Path, tmp_path: Path) -> None:
    service.predict()
    service.recorder.record_new()
    service.predict()
    service.recorder.close()
    service.recorder = Recorder(service.settings)
    assert service.recorder.record_new() == 1
    assert service.recorder.record_new() == 0
    assert len(service.logged()) == 2
    assert service.experiment()["compared"] == 2
    assert service.gauge("prediction_log_starts_total") == 2


def test_rows_of_models_before_are_taken_after_a_change(artifacts: Path, tmp_path: Path) -> None:
    service = Service(artifacts, tmp_path)
    service.predict()
    service.recorder.record_new()
    service.predict()
    manifest = json.loads((artifacts / "manifest.json").read_bytes())
    manifest["data"]["source"] = "another table"
    (artifacts / "manifest.json").write_text(json.dumps(manifest))
    assert service.recorder.record_new() == 1
    assert len(service.logged()) == 2
    service.recorder.close()


def test_rings_of_models_that_are_gone_are_taken_away_after_a_while(service: Service) -> None:
    service.predict()
    service.recorder.record_new()
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
    service.recorder.record_new()
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
    assert service.recorder.record_new() == SLOTS
    assert service.gauge("prediction_log_shed_total") == 100
    ring.close()


def test_the_log_is_bounded_and_labelled_rows_outlast_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = service.predict()
    service.feedback(first["prediction_id"], "setosa")
    service.client.post("/predict", json={"instances": [GOOD] * 300})
    service.recorder.record_new()
    with opened(data_dir(service.settings)) as log:
        while prune(log, rows=100, oldest_ns=0):
            pass
        kept = log.execute("SELECT count(*) FROM predictions").fetchone()[0]
        assert kept == 101
    assert service.experiment()["labelled"]["both_right"] == 1
    # The totals of the experiment continue.
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
    service.recorder.record_new()
    with opened(data_dir(service.settings)) as log:
        assert [prune(log, rows=20, oldest_ns=0) for _ in range(5)] == [50, 50, 50, 30, 0]


def test_a_recorder_that_says_nothing_is_down(service: Service) -> None:
    assert service.gauge("prediction_log_up") == 0
    service.recorder.record_new()
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


def test_latency_quantiles_are_right_to_six_percent() -> None:
    counts = Counter(latency_buckets(np.arange(1, 1001) / 1e6).tolist())
    for share in (0.5, 0.95, 0.99):
        assert latency_quantile(counts, share) == pytest.approx(share / 1e3, rel=0.07)
    assert latency_quantile({}, 0.5) is None
    zero, least = latency_buckets(np.array([0.0, 1e-9]))
    assert zero == least

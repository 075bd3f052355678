"""Which model files are loaded, and where the traffic of a refused one goes."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from app.inference.models import load_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.app.conftest import MakeClient

GOOD = {"features": [5.1, 3.5, 1.4, 0.2]}


def edit_manifest(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


def replace_model(directory: Path, content: bytes) -> None:
    """Put other bytes in place of v2, with a manifest that vouches for them."""
    (directory / "model_v2.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(directory, lambda manifest: manifest["models"]["v2"].update(sha256=digest))


def truncate(directory: Path) -> None:
    path = directory / "model_v2.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(directory: Path) -> None:
    path = directory / "model_v2.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(directory: Path) -> None:
    shutil.copyfile(directory / "model_v1.onnx", directory / "model_v2.onnx")


def remove(directory: Path) -> None:
    (directory / "model_v2.onnx").unlink()


def make_a_directory(directory: Path) -> None:
    remove(directory)
    (directory / "model_v2.onnx").mkdir()


def put_text(directory: Path) -> None:
    replace_model(directory, b"not a model")


def put_three_features(directory: Path) -> None:
    replace_model(directory, forest_as_onnx(features=3, classes=3))


def put_two_classes(directory: Path) -> None:
    replace_model(directory, forest_as_onnx(features=4, classes=2))


def put_another_forest(directory: Path) -> None:
    replace_model(directory, forest_as_onnx(features=4, classes=3))


def forest_as_onnx(*, features: int, classes: int) -> bytes:
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    rows = np.random.default_rng(1).random((60, features), dtype=np.float32)
    forest = RandomForestClassifier(n_estimators=3, max_depth=2, random_state=1)
    forest.fit(rows, np.arange(60) % classes)
    content: bytes = to_onnx(forest, rows[:1], options={"zipmap": False}).SerializeToString()
    return content


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (truncate, "is not the file that the manifest names"),
        (flip_a_bit, "is not the file that the manifest names"),
        (swap, "is not the file that the manifest names"),
        (remove, "is missing"),
        (make_a_directory, "cannot be read"),
        (put_text, "is not a model that onnxruntime can load"),
        (put_three_features, "not one matrix of 4 float columns"),
        (put_two_classes, "not a label and 3 probabilities"),
        (put_another_forest, "the canary row was scored differently than in training"),
    ],
)
def test_a_model_file_that_is_not_the_trained_one_is_refused_by_name(
    spoil: Callable[[Path], None], why: str, artifacts: Path
) -> None:
    spoil(artifacts)
    models = load_models(artifacts)
    assert set(models.arms) == {"v1"}
    assert set(models.refusals) == {"v2"}
    assert models.refusals["v2"].startswith("model_v2.onnx ")
    assert why in models.refusals["v2"]


def test_an_arm_that_is_off_says_why_and_gives_its_traffic_to_the_other(
    artifacts: Path, make_client: MakeClient
) -> None:
    flip_a_bit(artifacts)
    client = make_client(models=artifacts)
    answers = [client.post("/predict", json=GOOD).get_json() for _ in range(4)]
    assert [(a["model_version"], a["reason"]) for a in answers] == [("v1", "split"), ("v1", "fallback")] * 2
    ready = client.get("/ready")
    assert (ready.status_code, ready.get_json()["status"]) == (503, "degraded")
    assert ready.get_json()["models"]["v1"] == "up"
    assert "model_v2.onnx" in ready.get_json()["models"]["v2"]
    config = client.get("/config").get_json()
    assert config["models"]["v2"]["up"] is False
    assert "model_v2.onnx" in config["models"]["v2"]["reason"]
    assert config["models"]["v1"]["reason"] is None
    assert config["split"] == {"v1": 0.5, "v2": 0.5}
    assert config["serving_split"] == {"v1": 1.0, "v2": 0.0}
    text = client.get("/metrics").text
    assert 'model_arm_up{version="v1"} 1.0' in text
    assert 'model_arm_up{version="v2"} 0.0' in text
    assert 'model_v2="off"' in text


def test_an_arm_of_weight_zero_is_not_brought_back_by_a_broken_one(
    artifacts: Path, make_client: MakeClient
) -> None:
    flip_a_bit(artifacts)
    client = make_client(models=artifacts, weights=(0, 100))
    answer = client.post("/predict", json=GOOD)
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert "the weight of v1 is 0" in answer.text
    assert client.get("/ready").get_json()["status"] == "unavailable"
    text = client.get("/metrics").text
    assert "prediction_errors_total 1.0" in text
    assert "prediction_requests_total 0.0" in text


def test_with_both_arms_off_the_service_answers_503_and_lives(
    artifacts: Path, make_client: MakeClient
) -> None:
    remove(artifacts)
    (artifacts / "model_v1.onnx").write_bytes(b"")
    client = make_client(models=artifacts)
    assert client.post("/predict", json=GOOD).status_code == 503
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200


def set_schema(manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = 1


def drop_an_arm(manifest: dict[str, Any]) -> None:
    del manifest["models"]["v1"]


def add_a_key(manifest: dict[str, Any]) -> None:
    manifest["extra"] = 1


def leave_the_directory(manifest: dict[str, Any]) -> None:
    manifest["models"]["v1"]["file"] = "../model_v1.onnx"


def repeat_a_class(manifest: dict[str, Any]) -> None:
    manifest["classes"] = ["a", "a", "b"]


def name_other_features(manifest: dict[str, Any]) -> None:
    manifest["features"][0]["name"] = "height"


def empty_a_range(manifest: dict[str, Any]) -> None:
    manifest["features"][0]["accept_min"] = manifest["features"][0]["accept_max"]


def forget_the_limits(manifest: dict[str, Any]) -> None:
    manifest["drift"]["windows"] = []


def drop_a_limit(manifest: dict[str, Any]) -> None:
    manifest["drift"]["windows"][0]["features"].pop()


def allow_nothing(manifest: dict[str, Any]) -> None:
    manifest["drift"]["windows"][-1]["joint"] = 0.0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (forget_the_limits, "manifest.json has no drift limits"),
        (drop_a_limit, "manifest.json has no drift limits, or limits for other features"),
        (allow_nothing, "manifest.json has no drift limits"),
        (set_schema, "manifest.json has schema version 1"),
        (drop_an_arm, "manifest.json must describe the models v1, v2"),
        (add_a_key, "manifest.json is not a manifest"),
        (leave_the_directory, "manifest.json names a file outside its own directory"),
        (repeat_a_class, "manifest.json must name each class once"),
        (name_other_features, "reference.json names other features"),
        (empty_a_range, "manifest.json has a feature whose accepted range is empty"),
    ],
)
def test_a_manifest_that_does_not_fit_turns_both_arms_off(
    change: Callable[[dict[str, Any]], None], why: str, artifacts: Path
) -> None:
    edit_manifest(artifacts, change)
    models = load_models(artifacts)
    assert models.catalogue is None
    assert set(models.refusals) == {"v1", "v2"}
    assert all(reason.startswith(why) for reason in models.refusals.values())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"class_prior": {"a": 1.0}}, "reference.json names other classes"),
        ({"predicted_shares": {}}, "reference.json does not say what each model predicts"),
        ({"sample": [[1.0, 2.0]]}, "reference.json has no rows, or rows of another length"),
        ({"pairs": [[0, 4]]}, "reference.json pairs features that do not exist"),
    ],
)
def test_a_reference_that_does_not_fit_turns_both_arms_off(
    change: dict[str, Any], why: str, artifacts: Path
) -> None:
    path = artifacts / "reference.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))

    def accept(manifest: dict[str, Any]) -> None:
        manifest["reference"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()

    edit_manifest(artifacts, accept)
    models = load_models(artifacts)
    assert models.catalogue is None
    assert (models.reason or "").startswith(why)


@pytest.mark.parametrize("file", ["manifest.json", "reference.json"])
@pytest.mark.parametrize("content", [None, b"", b"\xff", b"{}"])
def test_without_a_whole_manifest_and_reference_the_service_says_what_to_run(
    file: str, content: bytes | None, artifacts: Path, make_client: MakeClient
) -> None:
    if content is None:
        (artifacts / file).unlink()
    else:
        (artifacts / file).write_bytes(content)
    client = make_client(models=artifacts)
    answer = client.post("/predict", json=GOOD)
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert ready.get_json()["models"]["v1"].startswith(file)
    assert "python app/train_model.py" in ready.get_json()["models"]["v1"]
    assert client.get("/config").get_json()["features"] == []
    assert "model_drift_window_rows 0.0" in client.get("/metrics").text

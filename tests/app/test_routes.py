from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.errors import InvalidRequestError
from app.wire.body import MAX_BODY, read_body

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

    from tests.app.conftest import MakeClient

GOOD = {"features": [5.1, 3.5, 1.4, 0.2]}


def test_a_row_is_answered_with_class_probabilities_and_version(client: FlaskClient) -> None:
    answer = client.post("/predict", json=GOOD)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    body = answer.get_json()
    assert re.fullmatch(r"[0-9a-f]{32}", body.pop("prediction_id"))
    assert body == {
        "prediction": 0,
        "class": "setosa",
        "probabilities": {"setosa": 1.0, "versicolor": 0.0, "virginica": 0.0},
        "model_version": "v1",
        "reason": "split",
    }


def test_features_by_name_in_any_order_give_the_same_answer(client: FlaskClient) -> None:
    row = {
        "petal width (cm)": 1.9,
        "sepal length (cm)": 6.3,
        "petal length (cm)": 5.0,
        "sepal width (cm)": 2.5,
    }
    by_name = client.post("/predict", json={"features": row}).get_json()
    client.post("/predict", json=GOOD)
    in_order = client.post("/predict", json={"features": [6.3, 2.5, 5.0, 1.9]}).get_json()
    assert by_name["model_version"] == in_order["model_version"] == "v1"
    assert by_name["probabilities"] == in_order["probabilities"]
    assert by_name["class"] == "virginica"
    assert by_name["prediction_id"] != in_order["prediction_id"]


def test_both_versions_answer_by_the_draw(make_client: MakeClient) -> None:
    client = make_client(weights=(90, 10), draw=iter([0.0, 0.89, 0.91, 0.99]).__next__)
    versions = [client.post("/predict", json=GOOD).get_json()["model_version"] for _ in range(4)]
    assert versions == ["v1", "v1", "v2", "v2"]


def test_config_shows_all_that_a_client_needs(make_client: MakeClient) -> None:
    config = make_client(weights=(90, 30)).get("/config").get_json()
    assert config["weights"] == {"v1": 90, "v2": 30}
    assert config["split"] == config["serving_split"] == {"v1": 0.75, "v2": 0.25}
    assert config["classes"] == ["setosa", "versicolor", "virginica"]
    assert config["drift"] == {"threshold": 0.3, "window": 200, "minimum": 30}
    assert config["service_digest"] == "dev"
    assert config["features"][0]["name"] == "sepal length (cm)"
    for feature in config["features"]:
        assert (
            feature["accept_min"] < feature["min"] < feature["mean"] < feature["max"] < feature["accept_max"]
        )
        assert feature["std"] > 0
    sizes = {version: model["params"]["n_estimators"] for version, model in config["models"].items()}
    depths = {version: model["params"]["max_depth"] for version, model in config["models"].items()}
    assert (sizes, depths) == ({"v1": 50, "v2": 100}, {"v1": 5, "v2": 7})
    for model in config["models"].values():
        assert model["up"] is True
        assert model["reason"] is None
        assert re.fullmatch(r"[0-9a-f]{64}", model["sha256"])
        accuracy = model["metrics"]["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]


def test_health_ready_and_index_answer(client: FlaskClient) -> None:
    assert client.get("/health").get_json() == {"status": "alive", "service_digest": "dev"}
    ready = client.get("/ready")
    assert (ready.status_code, ready.get_json()) == (
        200,
        {"status": "ready", "models": {"v1": "up", "v2": "up"}},
    )
    for endpoint in client.get("/").get_json()["endpoints"]:
        method, path = endpoint.split()
        # What the path takes is another matter.
        assert client.open(path, method=method, json=GOOD).status_code not in {404, 405, 500}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_predict_by_another_method_is_405_with_allow(method: str, client: FlaskClient) -> None:
    answer = client.open("/predict", method=method)
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/nope", "/predict/", "/static/x", "/../etc/passwd"])
def test_an_unknown_path_is_a_problem(path: str, client: FlaskClient) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert (answer.json or {}).get("title", "Not Found") == "Not Found"


def test_a_bug_is_a_problem_without_its_traceback(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def burst(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client.application.extensions["onebox"], "answer", burst)
    answer = client.post("/predict", json=GOOD)
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


def environ(body: bytes, **extra: object) -> dict[str, object]:
    return {"CONTENT_TYPE": "application/json", "wsgi.input": io.BytesIO(body)} | extra


class Trickle(io.BytesIO):
    """Gives one byte a read, as a slow connection may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(1, size or 1))


def test_a_body_that_comes_in_pieces_is_put_together() -> None:
    pieces = environ(b"", CONTENT_LENGTH="5") | {"wsgi.input": Trickle(b"12345678")}
    assert read_body(pieces) == b"12345"


def test_a_body_without_length_is_read_to_its_end_or_refused_when_too_large() -> None:
    assert read_body(environ(b"x" * MAX_BODY, **{"wsgi.input_terminated": True})) == b"x" * MAX_BODY
    with pytest.raises(InvalidRequestError) as caught:
        read_body(environ(b"x" * (MAX_BODY + 1), **{"wsgi.input_terminated": True}))
    assert caught.value.status == 413
    assert read_body(environ(b"ignored")) == b""


@pytest.mark.parametrize(
    ("length", "status"),
    [("10", 400), ("-1", 400), ("x", 400), ("٣", 400), ("65537", 413), ("9" * 5000, 413)],
)
def test_a_length_that_lies_is_refused(length: str, status: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_body(environ(b"12345", CONTENT_LENGTH=length))
    assert caught.value.status == status


def test_importing_the_package_loads_nothing_heavy(root: Path) -> None:
    code = "import sys, app, app.settings; print([m for m in ('flask','numpy','onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_serving_does_not_need_what_only_training_needs(root: Path) -> None:
    code = "import sys, app.api.factory; print([m for m in ('sklearn','onnx','skl2onnx','scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

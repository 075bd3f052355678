from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.ui.fake_api import arm, config, feature, prediction
from ui.api.answers import DriftSettings, Feature
from ui.api.client import MAX_ANSWER_BYTES, ApiClient
from ui.errors import ApiRefused, ApiUnavailable, ApiUnreadable
from ui.settings import UiSettings

if TYPE_CHECKING:
    from tests.ui.fake_api import FakeApi


def client(url: str, **timeouts: Any) -> ApiClient:
    return ApiClient(UiSettings(api_url=url, **timeouts))


def test_the_config_becomes_typed_values(api: FakeApi) -> None:
    answer = client(api.url).config()
    assert answer.features[0] == Feature(name="height", min=1.0, max=3.0, mean=2.04)
    assert answer.split == {"v1": 0.7, "v2": 0.3}
    assert answer.models["v2"].params == {"n_estimators": 100, "max_depth": 7}
    assert answer.drift == DriftSettings(threshold=0.3, window=200, minimum=30)


def test_a_model_that_is_off_may_have_nothing_but_a_reason(api: FakeApi) -> None:
    off = {"up": False, "sha256": None, "algorithm": None, "params": None, "metrics": None, "reason": "gone"}
    api.say("/config", config(models={"v1": arm(), "v2": off}))
    model = client(api.url).config().models["v2"]
    assert (model.up, model.reason, model.params, model.sha256) == (False, "gone", {}, None)


def test_fields_of_a_newer_api_are_left_out(api: FakeApi) -> None:
    api.say("/predict", prediction(shadow={"v1": "ok"}))
    assert client(api.url).predict({"height": 1.0}, synthetic=False).class_name == "worn"


def test_a_row_is_posted_by_feature_name(api: FakeApi) -> None:
    answer = client(api.url).predict({"height": 1.5, "width_mm": 20.0}, synthetic=True)
    assert api.rows == [{"features": {"height": 1.5, "width_mm": 20.0}}]
    assert (answer.class_name, answer.model_version, answer.prediction_id) == ("worn", "v2", "p-1")


def test_usage_comes_from_the_metrics(api: FakeApi) -> None:
    usage = client(api.url).usage()
    assert (usage.requests, usage.errors, usage.refused) == (250, 4, 5)


def test_a_4xx_is_a_refusal_with_the_problems_detail(api: FakeApi) -> None:
    api.refuse("/predict", 422, "height: 99 is out of range", field="height")
    with pytest.raises(ApiRefused) as refused:
        client(api.url).predict({"height": 99.0}, synthetic=False)
    assert (refused.value.detail, refused.value.status) == ("height: 99 is out of range", 422)
    assert refused.value.field == "height"


@pytest.mark.parametrize("body", [b"<html>go away</html>", b"", b"[]", b"\xff", b'{"detail": 3}'])
def test_a_4xx_without_a_problem_names_its_status(api: FakeApi, body: bytes) -> None:
    api.say("/predict", body, status=429)
    with pytest.raises(ApiRefused, match="HTTP status 429"):
        client(api.url).predict({"height": 1.0}, synthetic=False)


def test_a_5xx_is_an_outage_with_the_problems_detail(api: FakeApi) -> None:
    api.refuse("/predict", 503, "no model is loaded")
    with pytest.raises(ApiUnavailable, match="no model is loaded") as outage:
        client(api.url).predict({"height": 1.0}, synthetic=False)
    assert outage.value.status == 503


def test_a_redirect_is_not_followed(api: FakeApi) -> None:
    api.say("/config", b"", status=302)
    with pytest.raises(ApiUnreadable, match="302"):
        client(api.url).config()


def test_an_api_that_is_not_there_is_an_outage(closed_port: int) -> None:
    with pytest.raises(ApiUnavailable, match="cannot be reached") as outage:
        client(f"http://127.0.0.1:{closed_port}").config()
    assert outage.value.status is None


def test_a_host_name_that_cannot_exist_is_an_outage() -> None:
    with pytest.raises(ApiUnavailable, match="cannot be reached"):
        client("http://" + "a" * 70 + ".invalid").config()


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"], ids=["nothing", "a part"]
)
def test_an_api_that_stops_talking_is_an_outage(start: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = client(f"http://127.0.0.1:{server.getsockname()[1]}", connect_timeout=1, answer_timeout=0.1)
        asking = threading.Thread(target=_send, args=(server, start))
        asking.start()
        with pytest.raises(ApiUnavailable, match="did not answer in time"):
            silent.config()
        asking.join()


def _send(server: socket.socket, start: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(start)
        while connection.recv(4096):
            pass


def test_an_answer_that_drips_is_an_outage_as_a_whole() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        slow = client(f"http://127.0.0.1:{server.getsockname()[1]}", connect_timeout=0.1, answer_timeout=0.2)
        dripping = threading.Thread(target=_drip, args=(server,))
        dripping.start()
        with pytest.raises(ApiUnavailable, match="did not answer in time"):
            slow.config()
        dripping.join()


def _drip(server: socket.socket) -> None:
    connection, _ = server.accept()
    pause = threading.Event()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            try:
                connection.sendall(b" ")
            except OSError:
                return
            pause.wait(0.02)


@pytest.mark.parametrize(
    "raw",
    [b"not HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b""],
    ids=["another protocol", "cut off", "closed"],
)
def test_a_broken_answer_is_an_outage(raw: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        broken = client(f"http://127.0.0.1:{server.getsockname()[1]}")
        answering = threading.Thread(target=_answer_once, args=(server, raw))
        answering.start()
        with pytest.raises(ApiUnavailable, match="cannot be reached"):
            broken.config()
        answering.join()


def _answer_once(server: socket.socket, raw: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(raw)


def test_an_answer_beyond_the_cap_is_not_read(api: FakeApi) -> None:
    api.say("/metrics", b"#" * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(ApiUnreadable, match="larger than 2,000,000 bytes"):
        client(api.url).usage()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000],
    ids=["empty", "cut off", "not UTF-8", "too deep", "a number too long"],
)
def test_an_answer_that_is_not_json_is_unreadable(api: FakeApi, body: bytes) -> None:
    api.say("/config", body)
    with pytest.raises(ApiUnreadable, match="/config"):
        client(api.url).config()


@pytest.mark.parametrize(
    "text",
    [
        "\xff",
        "<html>",
        "prediction_requests_total many",
        "prediction_requests_total NaN",
        "prediction_requests_total +Inf",
        "prediction_latency_seconds_bucket 3",
    ],
)
def test_metrics_that_make_no_sense_are_unreadable(api: FakeApi, text: str) -> None:
    api.say("/metrics", text.encode("latin-1"))
    with pytest.raises(ApiUnreadable, match="/metrics"):
        client(api.url).usage()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"features": None}, "features"),
        ({"features": [{"name": "a"}]}, r"features\[0\].min"),
        ({"features": [feature("a", 2.0, 1.0, 1.5)]}, r"features\[0\].min"),
        ({"features": [feature("a", 1.0, float("nan"), 1.5)]}, r"features\[0\].max"),
        ({"features": [feature("a", 1.0, 10**400, 1.5)]}, r"features\[0\].max"),
        ({"models": {"v1": {}}}, "models.v1.up"),
        ({"models": {"v1": arm(sha256=3)}}, "models.v1.sha256"),
        ({"split": {"v1": "half"}}, "split.v1"),
        ({"split": {"v1": True}}, "split.v1"),
        ({"reason": 3}, "reason"),
        ({"service_digest": None}, "service_digest"),
        ({"drift": {"threshold": 0.3}}, "drift.window"),
    ],
)
def test_a_config_with_a_wrong_field_is_unreadable_and_names_it(
    api: FakeApi, changes: dict[str, Any], field: str
) -> None:
    api.say("/config", config(**changes))
    with pytest.raises(ApiUnreadable, match=field):
        client(api.url).config()


def test_no_proxy_of_the_environment_is_asked(
    api: FakeApi, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert client(api.url).config().classes == ("ok", "worn", "broken")

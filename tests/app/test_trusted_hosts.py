"""API_TRUSTED_HOSTS: by which names the service may be called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.errors import SettingsError
from app.settings import ApiSettings
from tests.app.servers import Client, Servers, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


@pytest.fixture(scope="module")
def servers(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    settings = ApiSettings.from_environ(
        {
            "API_TRUSTED_HOSTS": "Models.example.com 192.0.2.1 [2001:db8::1]",
            "ONEBOX_MODELS_DIR": str(trained),
            "ONEBOX_STATE_DIR": str(tmp_path_factory.mktemp("state")),
        }
    )
    with running(settings) as found:
        yield found


def ask(port: int, host: str, line: str = "POST /predict HTTP/1.1") -> tuple[int, bytes]:
    head = f"{line}\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with Client(port) as client:
        reply = client.ask(head.encode("latin-1") + BODY)
    return reply.status, reply.body


@pytest.mark.parametrize(
    "host",
    [
        *("models.example.com", "MODELS.example.com:5000", "192.0.2.1:5000", "[2001:db8::1]:5000"),
        *("flask-api:5000", "localhost", "127.0.0.1:5000", "[::1]:5000"),
    ],
)
def test_a_trusted_name_and_those_of_the_host_itself_are_answered(servers: Servers, host: str) -> None:
    assert ask(servers.direct, host)[0] == 200
    assert ask(servers.by_app, host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "models.example.com.evil.example", "evil-models.example.com", "192.0.2.2", ""),
        *("models.example.com@evil.example", "models.example.com, evil.example", "models.example.com:5000:1"),
    ],
)
def test_another_name_is_refused_as_a_problem(servers: Servers, host: str) -> None:
    status, body = ask(servers.direct, host)
    assert status == 400
    assert json.loads(body)["status"] == 400
    assert "Host" in json.loads(body)["detail"]


def test_a_name_in_the_target_must_be_trusted_too(servers: Servers) -> None:
    line = "POST http://evil.example/predict HTTP/1.1"
    assert ask(servers.direct, "models.example.com", line)[0] == 400


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_are_answered_whatever_they_call_the_service(servers: Servers, path: str) -> None:
    assert ask(servers.direct, "10.0.0.7:5000", f"GET {path} HTTP/1.1")[0] == 200


@pytest.mark.parametrize("path", ["/config", "/docs", "/openapi.json", "/", "/predictions"])
def test_everything_else_is_not(servers: Servers, path: str) -> None:
    assert ask(servers.direct, "evil.example", f"GET {path} HTTP/1.1")[0] == 400


def test_a_refusal_is_counted_by_its_reason(servers: Servers) -> None:
    ask(servers.direct, "evil.example")
    text = servers.worker.metrics.render().decode()
    assert 'invalid_requests_total{reason="untrusted_host"} 0.0' not in text
    assert 'invalid_requests_total{reason="untrusted_host"}' in text


@pytest.mark.parametrize("value", ["https://example.com", "a:5000", "a,b", "*", "-a", "a/b", "[::1", "ä.de"])
def test_what_is_no_host_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="API_TRUSTED_HOSTS"):
        ApiSettings.from_environ({"API_TRUSTED_HOSTS": value})


@pytest.mark.parametrize("value", ["yes", "", "error"])
def test_an_unknown_mode_of_the_access_log_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="API_ACCESS_LOG must be one of off, errors, all"):
        ApiSettings.from_environ({"API_ACCESS_LOG": value})


def test_without_names_every_host_is_answered(trained: Path, tmp_path: Path) -> None:
    with running(ApiSettings(models_dir=trained, state_dir=tmp_path)) as servers:
        assert ask(servers.direct, "any.example")[0] == 200

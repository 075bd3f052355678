"""The smoke test, against an HTTP server that answers like the services, directly and through SSH."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.release.manifest import ServiceRecord
from provisioning.services import smoke as smoke_module
from provisioning.services.smoke import Wanted, smoke
from provisioning.ssh import connect

pytestmark = pytest.mark.process

PARTS = {name: ServiceRecord("d" * 64, "b", f"{name}:d", (), "V") for name in smoke_module.PORTS}
CODE = {"flask-api": "c" * 64, "streamlit-ui": "p" * 64}
CONFIG = {
    "service_digest": "d" * 64,
    "code": {"serving": "c" * 64, "refused": None},
    "features": [{"name": "length", "min": 1.0, "max": 3.0}],
}
PAGES = {"serving": "p" * 64, "tried": True, "refused": None}
BROKEN = {"tried": False, "refused": {"code": "p" * 64, "why": "drift.py, line 3: KeyError"}}
REFUSED = {"serving": "e" * 64, "refused": {"code": "c" * 64, "why": "routes.py, line 3: invalid syntax"}}
TARGETS = {"data": {"activeTargets": [{"scrapeUrl": "http://flask-api:5000/metrics", "health": "up"}]}}

DOWN = {"data": {"activeTargets": [{"scrapeUrl": "http://flask-api", "health": "down", "lastError": "dns"}]}}


class Stack:
    """One server for the three services: answers by path, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {
            "/ready": (200, {}),
            "/metrics": (200, ""),
            "/config": (200, CONFIG),
            "/predict": (200, {"prediction": 0}),
            "/_stcore/health": (200, "ok"),
            "/code": (200, PAGES),
            "/-/ready": (200, "ok"),
            "/api/v1/targets?state=active": (200, TARGETS),
        }
        self.bodies: list[Any] = []
        stack = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = stack.answers[self.path]
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                stack.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.do_GET()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def stack(host: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    stack = Stack()
    host.sshd.tunnels = dict.fromkeys((*smoke_module.PORTS.values(), stack.port), stack.port)
    for patience in ("PATIENCE_SECONDS", "SCRAPE_PATIENCE_SECONDS"):
        monkeypatch.setattr(smoke_module, patience, 1.0)
    yield stack
    stack.server.shutdown()
    stack.server.server_close()
    stack.thread.join()


def _smoke(
    host: Any, open_ports: frozenset[int], touched: frozenset[str] = frozenset(PARTS)
) -> tuple[str, ...]:
    with connect(host.target) as connection:
        return smoke(connection, Wanted(PARTS, CODE), open_ports, Deadline(30), touched)


def test_services_behind_closed_ports_are_asked_through_the_connection(host: Any, stack: Stack) -> None:
    assert _smoke(host, frozenset({22})) == ()
    assert stack.bodies == [{"features": {"length": 2.0}}]


def test_an_api_that_asks_for_a_key_is_served_well_enough(host: Any, stack: Stack) -> None:
    stack.answers["/predict"] = (401, {"title": "Unauthorized"})

    assert _smoke(host, frozenset()) == ()


def test_an_open_port_is_asked_directly(host: Any, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke_module, "PORTS", dict.fromkeys(smoke_module.PORTS, stack.port))
    host.sshd.tunnels = {}

    assert _smoke(host, frozenset({stack.port})) == ()


def test_a_port_that_should_be_open_and_is_not_is_a_warning(host: Any, stack: Stack) -> None:
    (warning,) = _smoke(host, frozenset({9090}))

    assert warning.startswith("port 9090 is closed from here")
    assert warning.endswith("it was asked through the SSH connection instead")


@pytest.mark.parametrize(
    ("path", "answer", "service", "reason"),
    [
        ("/ready", (503, "v2 is off"), "flask-api", "GET /ready answers 503"),
        ("/metrics", (500, ""), "flask-api", "GET /metrics answers 500"),
        ("/config", (200, {**CONFIG, "service_digest": "old"}), "flask-api", "shows the release old"),
        ("/config", (200, {**CONFIG, "code": REFUSED}), "flask-api", "run the code.*line 3: invalid syntax"),
        (
            "/code",
            (200, {**PAGES, "serving": "q"}),
            "streamlit-ui",
            "run the code of the release: another one",
        ),
        ("/code", (200, {**PAGES, "tried": False}), "streamlit-ui", "pages are not tried yet"),
        (
            "/code",
            (503, {**PAGES, **BROKEN}),
            "streamlit-ui",
            "pages do not work: drift.py, line 3: KeyError",
        ),
        ("/config", (200, {**CONFIG, "code": None}), "flask-api", "run the code of the release: another one"),
        ("/predict", (500, "boom"), "flask-api", "POST /predict of a sample row answers 500"),
        ("/predict", (200, {}), "flask-api", "POST /predict of a sample row answers 200"),
        ("/_stcore/health", (502, ""), "streamlit-ui", "answers 502"),
        ("/-/ready", (503, ""), "prometheus", "answers 503"),
        (
            "/api/v1/targets?state=active",
            (
                200,
                DOWN,
            ),
            "prometheus",
            "the scrape target flask-api is not up: dns",
        ),
        (
            "/api/v1/targets?state=active",
            (200, {"data": {"activeTargets": []}}),
            "prometheus",
            "not configured",
        ),
    ],
)
def test_a_service_that_keeps_answering_wrongly_is_named(
    host: Any, stack: Stack, path: str, answer: tuple[int, Any], service: str, reason: str
) -> None:
    stack.answers[path] = answer

    with pytest.raises(ServiceFailure, match=reason) as caught:
        _smoke(host, frozenset())

    assert caught.value.service == service


def test_a_prometheus_that_nobody_touched_need_not_have_scraped_the_new_api_yet(
    host: Any, stack: Stack
) -> None:
    stack.answers["/api/v1/targets?state=active"] = (200, DOWN)

    assert _smoke(host, frozenset(), touched=frozenset({"flask-api"})) == ()


def test_a_prometheus_that_nobody_touched_must_know_the_api(host: Any, stack: Stack) -> None:
    stack.answers["/api/v1/targets?state=active"] = (200, {"data": {"activeTargets": []}})

    with pytest.raises(ServiceFailure, match="not configured"):
        _smoke(host, frozenset(), touched=frozenset({"flask-api"}))

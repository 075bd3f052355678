"""The smoke test, against an HTTP server that answers like the services, directly and through SSH."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioning.config.service_facts import API, API_CODE, PROMETHEUS, SERVICES, UI, UI_CODE
from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.release.manifest import DataDirectory, Release, ServiceRecord
from provisioning.services import smoke as smoke_module
from provisioning.services.api import ApiContract
from provisioning.services.contract import ServiceContract
from provisioning.services.prometheus import PrometheusContract
from provisioning.services.smoke import smoke
from provisioning.services.ui import UiContract
from provisioning.ssh import connect
from tests.provisioning.http_stub import HttpStub

pytestmark = pytest.mark.process

RELEASE = Release(
    "r" * 64,
    (),
    {facts.name: ServiceRecord("d" * 64, "b", f"{facts.name}:d", (), "V") for facts in SERVICES},
    {
        API_CODE.variable: DataDirectory("app", "c" * 64, (), live=True),
        UI_CODE.variable: DataDirectory("ui", "p" * 64, (), live=True),
    },
)
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


@pytest.fixture
def stack(host: Any) -> Iterator[HttpStub]:
    """One server for the three services."""
    stub = HttpStub(
        {
            "/ready": (200, {}),
            "/metrics": (200, ""),
            "/config": (200, CONFIG),
            "/predict": (200, {"prediction": 0}),
            "/_stcore/health": (200, "ok"),
            "/code": (200, PAGES),
            "/-/ready": (200, "ok"),
            "/api/v1/targets?state=active": (200, TARGETS),
        }
    )
    host.sshd.tunnels = dict.fromkeys([*(facts.port for facts in SERVICES), stub.port], stub.port)
    yield stub
    stub.close()


def _smoke(
    host: Any, open_ports: frozenset[int], touched: frozenset[str] = frozenset(RELEASE.services)
) -> tuple[str, ...]:
    with connect(host.target) as connection:
        return smoke(connection, RELEASE, open_ports, Deadline(1), touched)


def test_services_behind_closed_ports_are_asked_through_the_connection(host: Any, stack: HttpStub) -> None:
    assert _smoke(host, frozenset({22})) == ()
    assert stack.bodies == [{"features": {"length": 2.0}}]


def test_an_api_that_asks_for_a_key_is_served_well_enough(host: Any, stack: HttpStub) -> None:
    stack.answers["/predict"] = (401, {"title": "Unauthorized"})

    assert _smoke(host, frozenset()) == ()


def test_an_open_port_is_asked_directly(host: Any, stack: HttpStub, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: dict[str, ServiceContract] = {
        API.name: ApiContract(replace(API, port=stack.port)),
        UI.name: UiContract(replace(UI, port=stack.port)),
        PROMETHEUS.name: PrometheusContract(replace(PROMETHEUS, port=stack.port)),
    }
    monkeypatch.setattr(smoke_module, "contracts", lambda: moved)
    host.sshd.tunnels = {}

    assert _smoke(host, frozenset({stack.port})) == ()


def test_a_port_that_should_be_open_and_is_not_is_a_warning(host: Any, stack: HttpStub) -> None:
    (warning,) = _smoke(host, frozenset({9090}))

    assert warning.startswith("port 9090 is closed from here")
    assert warning.endswith("it was tested through the SSH connection instead")


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
        ("/config", (200, b"[" * 50_000), "flask-api", "the answer is not JSON"),
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
    host: Any, stack: HttpStub, path: str, answer: tuple[int, Any], service: str, reason: str
) -> None:
    stack.answers[path] = answer

    with pytest.raises(ServiceFailure, match=reason) as caught:
        _smoke(host, frozenset())

    assert caught.value.service == service


def test_a_prometheus_that_nobody_touched_need_not_have_scraped_the_new_api_yet(
    host: Any, stack: HttpStub
) -> None:
    stack.answers["/api/v1/targets?state=active"] = (200, DOWN)

    assert _smoke(host, frozenset(), touched=frozenset({"flask-api"})) == ()


def test_a_prometheus_that_nobody_touched_must_know_the_api(host: Any, stack: HttpStub) -> None:
    stack.answers["/api/v1/targets?state=active"] = (200, {"data": {"activeTargets": []}})

    with pytest.raises(ServiceFailure, match="not configured"):
        _smoke(host, frozenset(), touched=frozenset({"flask-api"}))

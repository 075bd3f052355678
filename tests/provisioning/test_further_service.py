"""A further service: one file with its contract, its lines in the compose file, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning import services
from provisioning.errors import UnhealthyRelease
from provisioning.release.release import read_release
from provisioning.services.registry import contracts
from tests.provisioning.http_stub import HttpStub
from tests.provisioning.previews import preview, write

PORT = 6380
COMPOSE = """\
  alert-router:
    build: ./images/router
    x-onebox-reload: SIGHUP
    image: onebox/alert-router:${ONEBOX_ALERT_ROUTER_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_ALERT_ROUTER_DIGEST:-dev}"}
    volumes: ["${ONEBOX_ROUTES_DIR:-./routes}:/etc/routes:ro"]
"""
CONTRACT = f"""
from provisioning.config.service_facts import LiveDataFacts, ServiceFacts
from provisioning.services.client import NotYet
from provisioning.services.contract import live_digest

ROUTES = LiveDataFacts("ONEBOX_ROUTES_DIR")


class AlertRouter:
    facts = ServiceFacts("alert-router", {PORT}, "/healthz", live_data=(ROUTES,))
    smoke_timeout = 0.5

    def smoke_test(self, service):
        response = service.client(self.facts.health)
        if not response.ok:
            raise NotYet(f"GET /healthz answers {{response.status}}")

    def reload_check(self, service):
        return Reload(service.client, live_digest(service.release, ROUTES))


class Reload:
    def __init__(self, client, digest):
        self.client, self.digest = client, digest

    def check(self):
        if self.client("/loaded").decoded() != self.digest:
            raise NotYet("it has not loaded its routes")


CONTRACT = AlertRouter()
"""


@pytest.fixture
def contract_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The one file, in the package of the contracts as far as Python is concerned."""
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "alert_router.py").write_text(CONTRACT)
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tmp_path / "contracts")])
    yield
    sys.modules.pop("provisioning.services.alert_router", None)
    vars(services).pop("alert_router", None)


@pytest.fixture
def router(host: Any, contract_file: None) -> Iterator[HttpStub]:
    """The service on the host, with its lines in the compose file."""
    write(host, "docker-compose.yml", (host.project / "docker-compose.yml").read_text() + COMPOSE)
    write(host, "images/router/Dockerfile", "FROM scratch\n")
    write(host, "routes/routes.yml", "receiver: first\n")
    stub = HttpStub({"/healthz": (200, "ok")})
    host.sshd.tunnels = {PORT: stub.port}
    yield stub
    stub.close()


def test_the_registry_finds_the_contracts_by_the_names_of_their_services(contract_file: None) -> None:
    assert contracts().keys() == {"flask-api", "streamlit-ui", "prometheus", "alert-router"}


def test_a_service_without_a_contract_is_none_of_the_registrys(project: Path) -> None:
    assert "alert-router" not in contracts()
    assert not contracts().keys() & read_release(project, {}).services.keys()


@pytest.mark.process
def test_a_further_service_is_planned_pushed_and_smoke_tested(host: Any, router: HttpStub) -> None:
    document: Any = preview(host).document
    planned = {item["service"]: item["action"] for item in document["services"]}
    assert planned["alert-router"] == "build and create"

    result = host.push()

    assert "build+recreate alert-router" in result.container_actions
    assert router.paths == ["/healthz"]
    assert not host.push().changed


@pytest.mark.process
def test_a_further_service_that_fails_its_smoke_test_is_undone(host: Any, router: HttpStub) -> None:
    first = host.push()
    write(host, "docker-compose.yml", (host.project / "docker-compose.yml").read_text() + "    init: true\n")
    router.answers["/healthz"] = (500, "")

    with pytest.raises(UnhealthyRelease, match="GET /healthz answers 500") as failed:
        host.push()

    assert (failed.value.service, failed.value.restored) == ("alert-router", first.release)


@pytest.mark.process
def test_a_further_service_confirms_its_reload(host: Any, router: HttpStub) -> None:
    host.push()
    write(host, "routes/routes.yml", "receiver: second\n")
    digest = read_release(host.project, {}).data["ONEBOX_ROUTES_DIR"].digest
    router.paths.clear()
    router.answers["/loaded"] = [(200, "old"), (200, "old"), (200, digest)]

    result = host.push()

    assert result.container_actions == ("reload alert-router",)
    assert router.paths == ["/loaded", "/loaded", "/loaded", "/healthz"]


@pytest.mark.process
def test_a_further_service_that_does_not_confirm_its_reload_is_undone(
    host: Any, router: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.services.reload.RELOAD_TIMEOUT", 0.2)
    first = host.push()
    write(host, "routes/routes.yml", "receiver: second\n")
    router.answers["/loaded"] = (200, first.release)

    with pytest.raises(UnhealthyRelease, match="it has not loaded its routes"):
        host.push()

    assert (host.root / "live" / "ONEBOX_ROUTES_DIR" / "routes.yml").read_text() == "receiver: first\n"

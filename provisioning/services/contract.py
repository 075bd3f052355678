"""What onebox checks of a service beyond Docker's health check: its smoke test, and how a reload is confirmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from provisioning.config.service_facts import LiveDataFacts, ServiceFacts
from provisioning.errors import ServiceFailure
from provisioning.release.manifest import Release
from provisioning.services.client import Client


@dataclass(frozen=True)
class RunningService:
    """A service on the host, and the release that it has to serve."""

    client: Client
    release: Release
    touched: bool = True
    """Whether this push recreated or reloaded it."""
    read_live_texts: Callable[[], Mapping[str, str]] = dict
    """Returns path -> content of its live data on the host, as far as that is text."""


class ReloadCheck(Protocol):
    """Confirms a reload. It is made before the signal is sent, so that it knows the state before."""

    def check(self) -> None:
        """Return once the service has loaded its data.

        Raises NotYet while it has not, ServiceFailure when it refused the data.
        """
        ...


class ServiceContract(Protocol):
    """The checks of one service. A module of this package offers it as `CONTRACT`."""

    @property
    def facts(self) -> ServiceFacts:
        """Return the declared facts of the service."""
        ...

    @property
    def smoke_timeout(self) -> float:
        """Return the seconds for which a healthy service may still respond wrongly."""
        ...

    def smoke_test(self, service: RunningService) -> None:
        """Send a few requests as a user would. Raises NotYet when a response is not that of the release."""
        ...

    def reload_check(self, service: RunningService) -> ReloadCheck | None:
        """Return the check of a reload of the release's data; None when there is nothing to check.

        Raises NotYet when the service does not report what it has loaded.
        """
        ...


def live_digest(release: Release, data: LiveDataFacts) -> str:
    """Return the digest of live data that the service has to load; empty when the release has none."""
    found = release.data.get(data.variable)
    return found.digest if found is not None and found.live else ""


def refused(facts: ServiceFacts, what: str, old: str, why: str = "") -> ServiceFailure:
    """Return the failure of a service that refused new data and continues with the old."""
    return ServiceFailure(
        facts.name, f"it refuses the new {what} and continues with {old}{f': {why}' if why else ''}"
    )

"""The overview of a host for `onebox status`: release, services, split, disk, lock and drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from provisioning.agent.observe.messages import ContainerUsage, ReadUsage, Usage
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.events import silent
from provisioning.host.drift import HostStatus, status_of
from provisioning.host.history import SPLIT, age
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.plan.observed import HostState, SplitInForce
from provisioning.ssh import connect

RUNNING, HEALTHY = "running", ("", "healthy")


@dataclass(frozen=True)
class ContainerUse:
    """A service's container, and what it uses. None where it is unknown or the container does not run."""

    service: str
    digest: str
    state: str
    health: str
    memory_bytes: int | None
    memory_limit_bytes: int | None
    restarts: int
    """Number of restarts by Docker."""
    uptime_seconds: float | None

    @property
    def well(self) -> bool:
        """Return whether the container runs and its health check, if it has one, passes."""
        return self.state == RUNNING and self.health in HEALTHY


@dataclass(frozen=True)
class Overview:
    """What a host serves, and its state. `release` is None where nothing was pushed yet."""

    release: str | None
    pushed_at: str | None
    pushed_by: str
    age_seconds: float | None
    """Since the last push or rollback, by the host's clock."""
    services: tuple[ContainerUse, ...]
    split: Mapping[str, str]
    """Weights of the two models in the environment of the running service."""
    free_bytes: int
    total_bytes: int
    pushing: str
    """The lock holder; empty for none."""
    drift: tuple[str, ...]
    split_in_force: SplitInForce | None = None
    """The runtime split; None while the configured one is active."""

    @property
    def well(self) -> bool:
        """Return whether every service of the release runs and is healthy."""
        return self.release is not None and all(service.well for service in self.services)

    def as_json(self) -> dict[str, Any]:
        """Return the overview as `--json` shows it."""
        return {**asdict(self), "well": self.well}


def read_overview(
    settings: PushSettings, deadline_seconds: float = 30, *, connector: Connector = connect
) -> Overview:
    """Return the overview of a host, in two round trips after the login. Changes nothing. Raises ProvisioningError."""
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        state = store.read_state(None, deadline)
        return overview_of(
            status_of(state), state, store.call(ReadUsage(store.root, store.project, SPLIT), deadline)
        )


def overview_of(status: HostStatus, state: HostState, usage: Usage) -> Overview:
    """Return the overview from a host's status, observed state and usage."""
    values = [item.environment for item in usage.containers.values() if item.environment]
    return Overview(
        release=status.release,
        pushed_at=status.pushed_at,
        pushed_by=state.journal.who if state.journal else "",
        age_seconds=age(status.pushed_at, usage.now) if status.pushed_at else None,
        services=tuple(
            _container(state, item.service, item.digest, item.state, item.health, usage)
            for item in status.services
        ),
        split={name: weight for found in values for name, weight in found.items()},
        split_in_force=state.split_in_force,
        free_bytes=usage.free,
        total_bytes=usage.total,
        pushing=status.pushing,
        drift=(*status.drift, *([str(state.split_in_force)] if state.split_in_force else [])),
    )


def _container(
    state: HostState, service: str, digest: str, condition: str, health: str, usage: Usage
) -> ContainerUse:
    container = state.container(service)
    used = usage.containers.get(container.id, ContainerUsage()) if container else ContainerUsage()
    return ContainerUse(
        service=service,
        digest=digest,
        state=condition,
        health=health,
        memory_bytes=used.memory,
        memory_limit_bytes=used.memory_limit,
        restarts=used.restarts,
        uptime_seconds=_since(used.started, usage.now),
    )


def _since(started: str | None, now: float) -> float | None:
    """Return the seconds since a time as Docker writes it, with nine digits after the point."""
    if not started:
        return None
    try:
        begun = datetime.fromisoformat(started[:19] + "+00:00")
    except ValueError:
        return None
    return max(0.0, now - begun.timestamp())

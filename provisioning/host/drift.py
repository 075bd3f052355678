"""Status of a host: what serves, and its drift from the last pushed release."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.config.settings import DEFAULT_PROJECT_NAME, DEFAULT_REMOTE_ROOT, PushSettings, Target
from provisioning.deadline import Deadline
from provisioning.events import silent
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.plan.observed import HostState
from provisioning.plan.plan import ContainerWork, service_actions
from provisioning.ssh import connect


@dataclass(frozen=True)
class ServiceStatus:
    """One service's container: its digest, state (`running`, `exited`, `missing`, …) and health."""

    service: str
    digest: str
    state: str
    health: str


@dataclass(frozen=True)
class HostStatus:
    """What a host serves. `release` is None where nothing was pushed yet; `drift` is empty where there is none."""

    release: str | None
    pushed_at: str | None
    services: tuple[ServiceStatus, ...]
    drift: tuple[str, ...]
    pushing: str
    """The lock holder; empty for none."""


def read_status(
    settings: PushSettings | Target, deadline_seconds: float = 30, *, connector: Connector = connect
) -> HostStatus:
    """Return the status of a host, read in one round trip after the login. Changes nothing."""
    deadline = Deadline(deadline_seconds)
    if isinstance(settings, Target):
        target, root, project = settings, DEFAULT_REMOTE_ROOT, DEFAULT_PROJECT_NAME
    else:
        target, root, project = settings.target, settings.remote_root, settings.project_name
    with wait_for_login(target, deadline, silent, connector=connector) as connection:
        return status_of(Store(connection, root, project).read_state(None, deadline))


def status_of(state: HostState) -> HostStatus:
    """Return the status in the observed state of a host."""
    wanted = tuple(state.current_release.services) if state.current_release else ()
    names = [*wanted, *sorted({item.service for item in state.containers} - set(wanted))]
    return HostStatus(
        release=state.current,
        pushed_at=state.journal.at if state.journal else None,
        services=tuple(_service(state, name) for name in names),
        drift=drift_of(state),
        pushing=state.holder,
    )


def drift_of(state: HostState) -> tuple[str, ...]:
    """Return one line for each difference from what the last push left."""
    release = state.current_release
    left = state.journal.release if state.journal else None
    found: list[str] = []
    if state.current != left and (left or state.current):
        shown = state.current[:12] if state.current else "nothing"
        found.append(f"current points to {shown}, the last push left {left[:12] if left else 'nothing'}")
    if release is None:
        if state.current:
            found.append(f"the release {state.current[:12]} is not on the host")
        return tuple(found)
    if not state.holder:
        if state.unfinished:
            found.append(f"a {state.unfinished.what or 'push'} was interrupted in: {state.unfinished.step}")
        found += [f"left by an unfinished push: {name}" for name in state.leftovers]
    for digest, problem in state.secret_problems.items():
        found.append(f"secrets/{digest[:12]}: {problem}")
    home = f"releases/{release.short}"
    found += [f"{home}: {problem}" for problem in state.problems]
    for digest, problems in state.data_problems.items():
        found += [f"data/{digest[:12]}: {problem}" for problem in problems]
    for action in service_actions(release, state):
        container = state.container(action.service)
        starting = container is not None and container.health == "starting"
        if action.container is not ContainerWork.NOTHING and not starting:
            found.append(f"{action.service}: {action.reason}")
    return tuple(found)


def _service(state: HostState, name: str) -> ServiceStatus:
    container = state.container(name)
    if container is None:
        return ServiceStatus(name, "", "missing", "")
    return ServiceStatus(name, container.digest, container.state, container.health)

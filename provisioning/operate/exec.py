"""Run one command inside a service's running container."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from provisioning.agent.command.messages import RunAttached
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.errors import ProvisioningError, SettingsError
from provisioning.events import silent
from provisioning.host.audit import write_audit
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.host_errors import HostError
from provisioning.plan.observed import HostState
from provisioning.redaction import Mask
from provisioning.ssh import connect

_LOGIN_SECONDS = 30.0
_AUDIT_SECONDS = 15.0


@dataclass(frozen=True)
class Executed:
    """A command that ended: its exit status, its standard error, and its duration."""

    service: str
    status: int
    stderr: str
    seconds: float


def execute(
    settings: PushSettings,
    service: str,
    command: Sequence[str],
    write: Callable[[bytes], None],
    *,
    data: bytes | None = None,
    deadline_seconds: float = 300,
    connector: Connector = connect,
) -> Executed:
    """Run a command in the container of a service; pass its standard output to `write` while it runs.

    `data` is its standard input. The host's audit log records the command, also when it fails or is interrupted.
    Raises SettingsError for a service without a container, HostError for one whose container does not run.
    """
    login = Deadline(_LOGIN_SECONDS)
    with wait_for_login(settings.target, login, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        container = running_container(store.read_state(None, login), service)
        step = f"exec in {service}"
        started = time.monotonic()
        result = "interrupted"
        try:
            if data is None:
                process = connection.start_alone(
                    RunAttached(("docker", "exec", container, *command)), step=step
                )
            else:
                process = connection.start(["docker", "exec", "--interactive", container, *command], step)
            with closing(process):
                done = process.wait(
                    deadline_seconds, data=data or b"", on_output=write, hold_input=data is None
                )
            result = "ok" if done.status == 0 else f"status {done.status}"
        except ProvisioningError:
            result = "failed"
            raise
        finally:
            seconds = time.monotonic() - started
            if connection.active:
                write_audit(
                    store,
                    Deadline(_AUDIT_SECONDS),
                    what="exec",
                    result=result,
                    seconds=seconds,
                    detail=Mask.of(settings.secrets.values.values()).text(f"{service}: {' '.join(command)}"),
                )
    return Executed(service, done.status, done.stderr, seconds)


def running_container(state: HostState, service: str) -> str:
    """Return the id of the running container of a service. Raises SettingsError or HostError without one."""
    container = state.container(service)
    if container is None:
        names = ", ".join(sorted({item.service for item in state.containers})) or "none"
        raise SettingsError(
            "service", f"there is no container of {service!r} on the host", hint=f"The host has: {names}."
        )
    if container.state != "running":
        raise HostError(
            f"the container of {service} is {container.state}", hint=f"Read `onebox logs {service}`."
        )
    return container.id

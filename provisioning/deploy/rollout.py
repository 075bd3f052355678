"""The gate: services are brought up one after another, and each must be healthy before the next is touched."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping

from provisioning.deadline import Deadline
from provisioning.deploy.build_errors import failure_tail
from provisioning.errors import ProvisioningError, ServiceFailure
from provisioning.events import Report, step
from provisioning.host.docker_commands import Project, remove_containers_argv, tag_argv
from provisioning.host.store import Store
from provisioning.host_errors import BuildFailed, CommandFailed
from provisioning.plan.observed import HostState
from provisioning.plan.plan import ContainerWork, ImageWork, ServiceAction
from provisioning.release.manifest import Release, ServiceRecord
from provisioning.services.reload import confirm_data, reload_service, switch_data

LOG_LINES = 50
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def make_images(
    store: Store,
    project: Project,
    actions: Iterable[ServiceAction],
    parts: Mapping[str, ServiceRecord],
    deadline: Deadline,
    report: Report,
) -> None:
    """Have an image on the host for each service that is about to be touched. Raises BuildFailed."""
    for action in actions:
        if action.image is ImageWork.TAG:
            argv = tag_argv(action.tag_from, parts[action.service].image)
            done = store.run_step(argv, f"tag {action.service}", deadline)
            if done.status != 0:
                raise CommandFailed(f"tagging the image of {action.service}", done.status, done.stdout)
    built = [action.service for action in actions if action.image is ImageWork.BUILD]
    if not built:
        return
    log = f"{store.root}/logs/build-{project.release[:12]}.log"
    with step("build", report) as running:
        done = store.run_step(
            project.build(built), "the image build", deadline, on_line=running.line, log=log
        )
        if done.status != 0:
            raise BuildFailed(tuple(built), failure_tail(done.stdout), log)
        running.detail = ", ".join(built)


def bring_up(
    store: Store,
    project: Project,
    actions: Iterable[ServiceAction],
    release: Release,
    state: HostState,
    deadline: Deadline,
    wait_seconds: int,
    report: Report,
) -> dict[str, float]:
    """Carry out what the plan says about the services of this release, in its order.

    `state` is what the plan was made from. Returns for each service that was made anew the seconds until
    it was healthy. Raises ServiceFailure for the first one that does not become healthy.
    """
    took: dict[str, float] = {}
    for action in actions:
        with step(f"{action.container} {action.service}", report) as running:
            running.detail = action.reason
            switch_data(store, action.service, release, deadline)
            started = time.monotonic()
            if action.container is ContainerWork.RELOAD:
                signal = release.services[action.service].reload
                container = state.container(action.service)
                if container is None:
                    raise ServiceFailure(action.service, "its container is gone")
                reload_service(store, container.id, action.service, signal, release, deadline)
            else:
                _carry_out(store, project, action, state, deadline, wait_seconds)
            if action.container is ContainerWork.RECREATE:
                took[action.service] = round(time.monotonic() - started, 2)
            confirm_data(store, action.service, release, deadline)
    return took


def _carry_out(
    store: Store,
    project: Project,
    action: ServiceAction,
    state: HostState,
    deadline: Deadline,
    wait_seconds: int,
) -> None:
    name = action.service
    if action.container is ContainerWork.REMOVE:
        # The release does not know the service any more, so compose cannot be asked by name.
        argv = remove_containers_argv(item.id for item in state.containers if item.service == name)
    elif action.container is ContainerWork.START:
        argv = project.start(name, wait_seconds)
    else:
        argv = project.recreate(name, wait_seconds)
    done = store.run_step(argv, str(action), deadline, finish=True)
    if done.status != 0:
        raise ServiceFailure(name, failure_reason(store.read_containers(deadline), name, done.stdout))


def failure_reason(state: HostState, service: str, said: str) -> str:
    """Pure: why a service is not up, in a few words."""
    container = state.container(service)
    last = (said.strip().splitlines() or ["compose said nothing"])[-1].strip()
    if container is None:
        return f"no container was made: {last}"
    if container.state != "running":
        return f"its container is {container.state} ({container.said})"
    if container.health and container.health != "healthy":
        tail = f": {container.said.splitlines()[-1]}" if container.said else ""
        return f"its health check says {container.health}{tail}"
    return last


def check_services(parts: Mapping[str, ServiceRecord], state: HostState) -> None:
    """Compare what runs with what was wanted. Raises ServiceFailure for the first that differs."""
    for name, part in parts.items():
        container = state.container(name)
        if container is None or container.state != "running":
            raise ServiceFailure(name, failure_reason(state, name, "it is gone"))
        if container.digest != part.digest:
            found = container.digest[:12] or "nothing"
            raise ServiceFailure(name, f"it runs {found} instead of {part.digest[:12]}")


def log_tail(store: Store, project: Project, service: str) -> tuple[str, ...]:
    """The last lines of a service's log; empty when they cannot be read."""
    try:
        argv = project.logs([service], tail=LOG_LINES, prefix=False)
        done = store.run_step(argv, f"log of {service}", Deadline(20), journal=False)
    except ProvisioningError:
        return ()
    return tuple(map(plain, done.stdout.strip().splitlines()[-LOG_LINES:]))


def plain(line: str) -> str:
    """A line without what would move the cursor or the colours of the terminal that shows it."""
    return "".join(char for char in _ESCAPES.sub("", line) if char.isprintable() or char == "\t")

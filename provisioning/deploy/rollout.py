"""Rollout: services are touched one after another, and each must be healthy before the next."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping

from provisioning.deadline import Deadline
from provisioning.deploy.context import Context
from provisioning.errors import ProvisioningError, ServiceFailure
from provisioning.events import step
from provisioning.host.docker_commands import remove_containers_argv, tag_argv
from provisioning.host_errors import BuildFailed, CommandFailed
from provisioning.plan.observed import HostState
from provisioning.plan.plan import ContainerWork, ImageWork, ServiceAction
from provisioning.release.manifest import ServiceRecord
from provisioning.services.reload import confirm_data, reload_service, switch_data

LOG_LINES = 50
BUILD_LOG_LINES = 20
_LOG_SECONDS = 20.0
_STOP_SECONDS = 120.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_FRAME = re.compile(r"-{6,}")
_TIME = re.compile(r"^[0-9]+\.[0-9]+ ")


def make_images(context: Context, actions: Iterable[ServiceAction]) -> None:
    """Tag or build an image for each service that is about to be touched. Raises BuildFailed."""
    store, built = context.store, []
    for action in actions:
        if action.image is ImageWork.TAG:
            argv = tag_argv(action.tag_from, context.release.services[action.service].image)
            done = store.run_step(argv, f"tag {action.service}", context.deadline)
            if done.status != 0:
                raise CommandFailed(f"tagging the image of {action.service}", done.status, done.stdout)
        elif action.image is ImageWork.BUILD:
            built.append(action.service)
    if not built:
        return
    log = f"{store.root}/logs/build-{context.release.short}.log"
    with step("build", context.report) as running:
        argv = context.project.build(built)
        done = store.run_step(argv, "the image build", context.deadline, on_line=running.line, log=log)
        if done.status != 0:
            raise BuildFailed(tuple(built), build_error(done.stdout), log)
        running.detail = ", ".join(built)


def build_error(log: str) -> tuple[str, ...]:
    """Return the last lines that the failed command of an image build printed, oldest first.

    BuildKit repeats them at the end of its plain log between two lines of dashes, below a line that names the
    command. Without that frame, the last lines of the whole log.
    """
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    frames = [number for number, line in enumerate(lines) if _FRAME.fullmatch(line)]
    if len(frames) >= 2:
        printed = lines[frames[-2] + 1 : frames[-1]]
        lines = [line for line in printed if not line.startswith(" > ")] or lines
    return tuple(_TIME.sub("", line) for line in lines[-BUILD_LOG_LINES:])


def roll_out(context: Context, actions: Iterable[ServiceAction], state: HostState) -> dict[str, float]:
    """Do what the plan has for the release's services, in its order; `state` is what the plan was made from.

    Returns for each recreated service the seconds until it was healthy. Raises ServiceFailure for the first
    service that does not become healthy.
    """
    store, release, deadline = context.store, context.release, context.deadline
    took: dict[str, float] = {}
    for action in actions:
        name = action.service
        with step(f"{action.container} {name}", context.report) as running:
            running.detail = action.reason
            switch_data(store, name, release, deadline)
            started = time.monotonic()
            if action.container is ContainerWork.RELOAD:
                container = state.container(name)
                if container is None:
                    raise ServiceFailure(name, "its container is gone")
                reload_service(store, container.id, name, release.services[name].reload, release, deadline)
            else:
                _change_container(context, action, state)
            if action.container is ContainerWork.RECREATE:
                took[name] = round(time.monotonic() - started, 2)
            confirm_data(store, name, release, deadline)
    return took


def _change_container(context: Context, action: ServiceAction, state: HostState) -> None:
    name, wait_seconds = action.service, context.settings.wait_seconds
    if action.container is ContainerWork.REMOVE:
        # Compose does not know the service any more: the release's file lacks it.
        argv = remove_containers_argv(item.id for item in state.containers if item.service == name)
    elif action.container is ContainerWork.START:
        argv = context.project.start(name, wait_seconds)
    else:
        argv = context.project.recreate(name, wait_seconds)
    done = context.store.run_step(argv, str(action), context.deadline, finish=True)
    if done.status != 0:
        found = context.store.read_containers(context.deadline)
        raise ServiceFailure(name, failure_reason(found, name, done.stdout))


def failure_reason(state: HostState, service: str, output: str) -> str:
    """Return why a service is not up, from its container and the output of compose."""
    container = state.container(service)
    last = (output.strip().splitlines() or ["compose printed nothing"])[-1].strip()
    if container is None:
        return f"no container was created: {last}"
    if container.state != "running":
        return f"its container is {container.state} ({container.said})"
    if container.health and container.health != "healthy":
        tail = f": {container.said.splitlines()[-1]}" if container.said else ""
        return f"its health check reports {container.health}{tail}"
    return last


def check_services(services: Mapping[str, ServiceRecord], state: HostState) -> None:
    """Compare the containers with the release. Raises ServiceFailure for the first that differs."""
    for name, record in services.items():
        container = state.container(name)
        if container is None or container.state != "running":
            raise ServiceFailure(name, failure_reason(state, name, "it is gone"))
        if container.digest != record.digest:
            found = container.digest[:12] or "nothing"
            raise ServiceFailure(name, f"it runs {found} instead of {record.digest[:12]}")


def stop_unhealthy(context: Context, service: str) -> tuple[str, ...]:
    """Stop this service and every other that is not healthy; return their names. It has its own deadline."""
    deadline = Deadline(_STOP_SECONDS)
    with step("stop what is not healthy", context.report) as running:
        found = context.store.read_containers(deadline).containers
        names = sorted({item.service for item in found if item.service == service or not item.healthy})
        if names:
            argv = context.project.stop(names)
            context.store.run_step(argv, "stopping what is not healthy", deadline, finish=True)
        running.detail = ", ".join(names) or "nothing"
    return tuple(names)


def log_tail(context: Context, service: str) -> tuple[str, ...]:
    """Return the last lines of a service's log; none when it cannot be read. It has its own deadline."""
    try:
        argv = context.project.logs([service], tail=LOG_LINES, prefix=False)
        done = context.store.run_step(argv, f"log of {service}", Deadline(_LOG_SECONDS), journal=False)
    except ProvisioningError:
        return ()
    return tuple(map(plain, done.stdout.strip().splitlines()[-LOG_LINES:]))


def plain(line: str) -> str:
    """Return a line without control sequences and characters that a terminal would obey."""
    return "".join(char for char in _ESCAPES.sub("", line) if char.isprintable() or char == "\t")

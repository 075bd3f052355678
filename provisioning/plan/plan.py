"""Pure: plan the actions that turn the observed state of a host into the desired state of a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioning.config.service_facts import live_data_facts
from provisioning.plan.observed import HostState
from provisioning.release.manifest import Release, ReleaseFile, ServiceRecord


class ImageWork(StrEnum):
    """How a service gets its image."""

    KEEP = "keep"
    TAG = "tag"
    """An image of the same build digest is on the host and gets a second name."""
    BUILD = "build"


class ContainerWork(StrEnum):
    """What happens to the container of a service."""

    NOTHING = "nothing"
    RELOAD = "reload"
    """It keeps running and reloads its data."""
    START = "start"
    RECREATE = "recreate"
    REMOVE = "remove"


@dataclass(frozen=True)
class ServiceAction:
    """What happens to one service, and why."""

    service: str
    container: ContainerWork
    image: ImageWork = ImageWork.KEEP
    reason: str = ""
    tag_from: str = ""

    def __str__(self) -> str:
        image = "" if self.image is ImageWork.KEEP else f"{self.image}+"
        return f"{image}{self.container} {self.service}"


@dataclass(frozen=True)
class Plan:
    """What makes a host serve a release. `actions` names every service, in the order of the rollout."""

    release: str
    actions: tuple[ServiceAction, ...]
    uploads: tuple[ReleaseFile, ...]
    publish: bool
    """Files of the release or its data have to be written on the host."""
    switch: bool
    """`current` does not point to this release yet."""
    clean: bool = False
    """An interrupted change left partial files or an open journal entry."""

    @property
    def container_actions(self) -> tuple[ServiceAction, ...]:
        """Return the actions that touch a container."""
        return tuple(action for action in self.actions if action.container is not ContainerWork.NOTHING)

    @property
    def summary(self) -> str:
        """Return the actions in one line."""
        if self.nothing_to_do:
            return "up to date"
        if self.container_actions:
            return ", ".join(map(str, self.container_actions))
        return "files only" if self.uploads or self.publish or self.switch else "clean up only"

    @property
    def nothing_to_do(self) -> bool:
        """Return whether the observed state is the desired state."""
        return not (self.container_actions or self.uploads or self.publish or self.switch or self.clean)


def make_plan(release: Release, state: HostState) -> Plan:
    """Return the plan that makes a host serve `release`, seen in `state`."""
    files = {file.sha256: file for file in release.files}
    return Plan(
        release=release.digest,
        actions=service_actions(release, state),
        uploads=tuple(sorted(files[sha256] for sha256 in state.needed if sha256 in files)),
        publish=not state.present
        or bool(state.problems or state.secret_problems)
        or any(state.data_problems.values()),
        switch=state.current != release.digest,
        clean=bool(state.leftovers or state.unfinished),
    )


def service_actions(release: Release, state: HostState) -> tuple[ServiceAction, ...]:
    """Return one action for each service in dependency order, then one for each service that is not wanted."""
    data = {name: directory.digest for name, directory in release.data.items()}
    wanted = tuple(_action(name, record, data, state) for name, record in release.services.items())
    orphans = sorted({container.service for container in state.containers} - set(release.services))
    return wanted + tuple(
        ServiceAction(name, ContainerWork.REMOVE, reason="the release has no such service")
        for name in orphans
    )


def _action(name: str, record: ServiceRecord, data: Mapping[str, str], state: HostState) -> ServiceAction:
    work, reason = _container_work(name, record, data, state)
    if work is ContainerWork.NOTHING or record.build is None or record.image in state.images:
        return ServiceAction(name, work, reason=reason)
    earlier = state.builds.get(name, {}).get(record.build, "")
    if earlier in state.images:
        return ServiceAction(name, work, ImageWork.TAG, reason, tag_from=earlier)
    return ServiceAction(name, work, ImageWork.BUILD, reason)


def _container_work(
    name: str, record: ServiceRecord, data: Mapping[str, str], state: HostState
) -> tuple[ContainerWork, str]:
    container = state.container(name)
    if container is None:
        return ContainerWork.RECREATE, "it has no container"
    if container.digest != record.digest:
        return ContainerWork.RECREATE, "it changed"
    if (
        container.image != record.image
        or state.images.get(record.image, container.image_id) != container.image_id
    ):
        return ContainerWork.RECREATE, "it runs another image"
    if any(mark in state.secret_problems for mark in record.secrets):
        return ContainerWork.RECREATE, "a secret of it on the host is missing or was changed"
    if not record.reload and any(state.data_problems.get(data[variable]) for variable in record.data):
        return ContainerWork.RECREATE, "its data on the host was changed"
    if container.state != "running":
        return ContainerWork.START, f"its container is {container.state}"
    if container.health == "unhealthy":
        return ContainerWork.RECREATE, "it is unhealthy"
    if container.health == "starting":
        return ContainerWork.START, "it is still starting"
    return _reload_work(record, data, state)


def _reload_work(
    record: ServiceRecord, data: Mapping[str, str], state: HostState
) -> tuple[ContainerWork, str]:
    if not record.reload:
        return ContainerWork.NOTHING, ""
    found = {variable: state.live.get(variable) for variable in record.data}
    there = {variable: live for variable, live in found.items() if live is not None}
    if len(there) < len(found):
        # A container that runs without it holds a directory that is gone.
        return ContainerWork.RECREATE, "its data is not on the host"
    changed = [live_data_facts(name).noun for name, live in there.items() if live.digest != data[name]]
    if changed:
        return ContainerWork.RELOAD, f"its {' and '.join(dict.fromkeys(changed))} changed"
    for variable, live in there.items():
        if live.problems:
            return ContainerWork.RELOAD, f"its data on the host was changed: {live.problems[0]}"
        if live.in_force != data[variable]:
            return ContainerWork.RELOAD, "it has not confirmed that it loaded its data"
    return ContainerWork.NOTHING, ""

"""Pure: how much room a push needs on the host's disk, at most."""

from __future__ import annotations

from provisioning.plan.observed import HostState
from provisioning.plan.plan import ContainerWork, ImageWork, Plan
from provisioning.release.manifest import Release

IMAGE_BYTES = 600 * 1024**2
"""Taken for an image that is built for the first time: none of this project's is larger."""


def needed_bytes(release: Release, plan: Plan, state: HostState) -> int:
    """Bytes for the archive, the release's own directory, its data and the images that are built.

    An upper bound: an archive counts as sent and as unpacked, and an image as large as the one it replaces although
    most of its layers are shared.
    """
    images = sum(
        _image_bytes(action.service, state)
        for action in plan.actions
        if action.image is ImageWork.BUILD and action.container is not ContainerWork.NOTHING
    )
    return file_bytes(release, plan, state) + images


def file_bytes(release: Release, plan: Plan, state: HostState) -> int:
    """Bytes for the archive, the release's own directory and its data: what is certain before an image is built."""
    if plan.nothing_to_do:
        return 0
    # As an archive, and unpacked beside it until every file is in its place.
    archive = 2 * sum(file.size for file in plan.uploads)
    unpacked = 0 if state.present else sum(file.size for file in release.files)
    data = sum(
        sum(file.size for file in entry.files) * (2 if entry.live else 1)
        for entry in release.data.values()
        if state.data_problems.get(entry.digest)
    )
    return archive + unpacked + data


def _image_bytes(service: str, state: HostState) -> int:
    container = state.container(service)
    return state.image_bytes.get(container.image if container else "", IMAGE_BYTES)

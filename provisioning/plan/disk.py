"""Pure: upper bounds of the disk space that a change needs on the host, in bytes."""

from __future__ import annotations

from provisioning.plan.observed import HostState
from provisioning.plan.plan import ContainerWork, ImageWork, Plan
from provisioning.release.manifest import Release

IMAGE_BYTES = 600 * 1024**2
"""Estimate for an image that is built for the first time: none of this project's is larger."""


def needed_bytes(release: Release, plan: Plan, state: HostState) -> int:
    """Return the bytes for the archive, the release's directory, its data and the images that are built.

    An archive counts packed and unpacked, and an image as large as the one that it replaces although they share
    most of their layers.
    """
    images = sum(
        _image_bytes(action.service, state)
        for action in plan.actions
        if action.image is ImageWork.BUILD and action.container is not ContainerWork.NOTHING
    )
    return file_bytes(release, plan, state) + images


def file_bytes(release: Release, plan: Plan, state: HostState) -> int:
    """Return the bytes for the archive, the release's directory and its data, without images."""
    if plan.nothing_to_do:
        return 0
    # Packed, and unpacked beside it until every file has its final name.
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

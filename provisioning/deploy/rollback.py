"""Going back: the previous release is put back as a set, from images that are still on the host."""

from __future__ import annotations

from provisioning.deadline import Deadline
from provisioning.deploy.rollout import bring_up, make_images
from provisioning.errors import ProvisioningError
from provisioning.events import Report, step
from provisioning.host.docker_commands import Project
from provisioning.host.store import Store
from provisioning.plan.plan import service_actions
from provisioning.release.manifest import Release

_EXTRA_SECONDS = 120.0


def put_back(store: Store, release: Release, wait_seconds: int, report: Report) -> str | None:
    """Serve this release again; its digest, or None when it did not come up either.

    Every service that differs from that release is touched, also one that an earlier, broken-off push
    changed. It has its own deadline: the push's may just have passed.
    """
    project = Project(store.project, store.root, release.digest)
    deadline = Deadline(wait_seconds * max(1, len(release.services)) + _EXTRA_SECONDS)
    try:
        with step("put the previous release back", report) as running:
            state = store.read_state(release, deadline)
            actions = service_actions(release, state)
            touched = [action for action in actions if action.container != "nothing"]
            make_images(store, project, touched, release.services, deadline, report)
            bring_up(store, project, touched, release, state, deadline, wait_seconds, report)
            running.detail = f"{release.short} serves again"
    except ProvisioningError:
        return None
    return release.digest


def stop_bad(store: Store, project: Project, service: str, report: Report) -> tuple[str, ...]:
    """Stop the service that failed, and every other that is not healthy; their names.

    For a first push: there is nothing to go back to, and a service that crashes again and again is worse
    than one that is stopped.
    """
    deadline = Deadline(_EXTRA_SECONDS)
    with step("stop what is not healthy", report) as running:
        found = store.read_containers(deadline).containers
        bad = sorted(
            {service, *(item.service for item in found if not item.healthy)} & {i.service for i in found}
        )
        if bad:
            store.run_step(project.stop(bad), "stopping what is not healthy", deadline, finish=True)
        running.detail = ", ".join(bad) or "nothing"
    return tuple(bad)

"""The way of a release onto a host, step by step."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.errors import ProvisioningError, TreeChanged
from provisioning.events import Report, masked, silent, step
from provisioning.host.readiness import Connector, LogIn, climb, wait_for_login
from provisioning.redaction import Mask
from provisioning.release.environment import for_host
from provisioning.release.release import read_release
from provisioning.ssh import connect

if TYPE_CHECKING:
    from provisioning.deploy.context import Push
    from provisioning.plan.observed import HostState
    from provisioning.plan.plan import Plan
    from provisioning.plan.saved_plan import BoundPlan


@dataclass(frozen=True)
class PushResult:
    """What a push did. `container_actions` is empty and `changed` False when there was nothing to do."""

    release: str
    changed: bool
    uploaded_files: int
    uploaded_bytes: int
    container_actions: tuple[str, ...]
    seconds: float
    warnings: tuple[str, ...]


def push_release(
    settings: PushSettings,
    report: Report = silent,
    *,
    agreed: BoundPlan | None = None,
    digest: str | None = None,
    log_in: LogIn = wait_for_login,
    connector: Connector = connect,
    run_dir: str = "/run/cloud-init",
) -> PushResult:
    """Bring the project's release onto the host and leave it serving, or leave what served before.

    Idempotent: a host that already is as wanted is only looked at. With `agreed`, a plan that somebody has
    read, nothing is done when the tree or the host has changed since; with `digest`, nothing when the tree
    is another release (TreeChanged). `log_in` opens the connection. Raises UnhealthyRelease after the
    previous release was put back, Locked when somebody else pushes, PlanRefused, and other
    ProvisioningErrors.
    """
    started = time.monotonic()
    deadline = Deadline(settings.deadline_seconds)
    mask = Mask.of(settings.secrets.values.values())
    report = masked(report, mask.text)
    with step("read the release", report) as running:
        release = read_release(settings.project_root, settings.environment, settings.secrets)
        running.detail = f"{release.short}, {len(release.files)} files"
        release = for_host(release, settings.remote_root)
    if digest and digest != release.digest:
        raise TreeChanged(digest, release.digest)
    if agreed:
        agreed.check_release(settings, release.digest)
    # Most of the time of a login belongs to the host.
    threading.Thread(target=_load, name="onebox-load", daemon=True).start()
    with ExitStack() as open_connections:
        connection = open_connections.enter_context(
            log_in(settings.target, deadline, report, connector=connector)
        )
        from provisioning.deploy.context import Push
        from provisioning.host.lock import hold

        push = Push(settings, release, deadline, report, connection, agreed)
        seen = push.glance()
        sent, plan = 0, seen[1] if seen else None
        if seen is None or plan is None or not plan.nothing_to_do or seen[0].holder:
            if seen is None or not _took_one_before(seen[0], settings):
                connection, said = climb(
                    connection, settings, deadline, report, connector=connector, run_dir=run_dir
                )
                open_connections.enter_context(connection)
                push = Push(settings, release, deadline, report, connection, agreed)
                for text in said:
                    push.warn(text)
            with hold(
                push.store,
                deadline,
                what="push",
                release=release.digest,
                wait_seconds=settings.lock_wait_seconds,
                report=report,
                mask=mask,
                meanwhile=partial(_make_ready, push, plan),
            ) as held:
                # Only what is seen under the lock counts.
                state, plan = push.look(seen)
                held.detail = plan.summary
                if plan.nothing_to_do:
                    held.result, held.detail = "nothing to do", ""
                else:
                    from provisioning.deploy.apply import carry_out

                    sent = carry_out(push, state, plan, started)
    return PushResult(
        release=release.digest,
        changed=not plan.nothing_to_do,
        uploaded_files=len(plan.uploads),
        uploaded_bytes=sent,
        container_actions=tuple(map(str, plan.container_actions)),
        seconds=time.monotonic() - started,
        warnings=tuple(push.warnings),
    )


def _load() -> None:
    """Load what is needed as soon as the host has let us in."""


def _make_ready(push: Push, plan: Plan | None) -> None:
    """Load here, and send there, what only a push that changes something needs: most find nothing to do."""
    if plan is not None:
        push.store.send_ahead(_scripts_for(plan))
    import provisioning.deploy.apply  # noqa: F401


def _scripts_for(plan: Plan) -> list[str]:
    """Pure: the scripts that carry out a plan, in the order in which they are run."""
    reloads = any(action.container == "reload" for action in plan.actions)
    needed = {
        "begin.py": True,
        "receive.py": bool(plan.uploads),
        "publish.py": plan.publish,
        "live_data.py": reloads,
        "read_files.py": reloads,
        "step.py": bool(plan.container_actions),
        "finish.py": True,
    }
    return [name for name, is_needed in needed.items() if is_needed]


def _took_one_before(state: HostState, settings: PushSettings) -> bool:
    """Whether the host can take a release: it took one, its Docker is there whole, and it has room."""
    return state.journal is not None and state.can_carry_out and state.free_bytes >= settings.min_free_bytes


def retire(
    settings: PushSettings, deadline_seconds: float = 20, *, connector: Connector = connect
) -> tuple[str, ...]:
    """End the services before the host goes away. Best effort: problems come back as warnings."""
    deadline = Deadline(deadline_seconds)
    argv = ["docker", "compose", "--project-name", settings.project_name, "down", "--remove-orphans"]
    try:
        with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
            connection.run(argv, deadline=max(1.0, deadline.left), step="docker compose down")
    except ProvisioningError as error:
        return (f"the services were not ended cleanly: {error}",)
    return ()

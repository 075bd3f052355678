"""Push: bring the tree's release onto the host."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.deploy.context import Context
from provisioning.errors import ProvisioningError, TreeChanged
from provisioning.events import Report, masked, silent, step
from provisioning.host.readiness import Connector, LogIn, wait_after_login, wait_for_login
from provisioning.host.store import Store
from provisioning.host_errors import CommandFailed
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan
from provisioning.redaction import Mask
from provisioning.release.environment import for_host
from provisioning.release.release import read_release
from provisioning.ssh import connect

if TYPE_CHECKING:
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
    """Make the host serve the tree's release, or leave what served before.

    Idempotent: of a host that is as desired, only the state is read. With `agreed`, a saved plan, nothing is done
    when the tree or the host has changed since; with `digest`, nothing when the tree is another release
    (TreeChanged). `log_in` opens the connection. Raises UnhealthyRelease after the previous release was restored,
    Locked when another user holds the host, PlanRefused, and other ProvisioningErrors.
    """
    started = time.monotonic()
    deadline = Deadline(settings.deadline_seconds)
    report = masked(report, Mask.of(settings.secrets.values.values()).text)
    with step("read the release", report) as running:
        release = read_release(settings.project_root, settings.environment, settings.secrets)
        running.detail = f"{release.short}, {len(release.files)} files"
    if digest and digest != release.digest:
        raise TreeChanged(digest, release.digest)
    if agreed:
        agreed.check_release(settings, release.digest)
    with ExitStack() as open_connections:
        connection = open_connections.enter_context(
            log_in(settings.target, deadline, report, connector=connector)
        )
        store = Store(connection, settings.remote_root, settings.project_name)
        release = for_host(release, settings.remote_root)
        context = Context("push", settings, release, store, deadline, report, started=started)
        seen = _observe_early(context, agreed)
        sent, plan = 0, seen[1] if seen else None
        if seen is None or plan is None or not plan.nothing_to_do or seen[0].holder:
            if seen is None or not _took_a_release(seen[0], settings):
                connection, notes = wait_after_login(
                    connection, settings, deadline, report, connector=connector, run_dir=run_dir
                )
                open_connections.enter_context(connection)
                context = replace(context, store=replace(store, connection=connection))
                for text in notes:
                    context.warn(text)
            with context.lock() as held:
                # Only what is seen under the lock counts.
                state, plan = _observe(context, agreed, plan)
                if plan.nothing_to_do:
                    held.result = "nothing to do"
                else:
                    held.detail = plan.summary
                    # Most pushes have nothing to apply, and need not load for 20 ms what tests services.
                    from provisioning.deploy.apply import apply

                    sent = apply(context, plan, state)
    return PushResult(
        release=release.digest,
        changed=not plan.nothing_to_do,
        uploaded_files=len(plan.uploads),
        uploaded_bytes=sent,
        container_actions=tuple(map(str, plan.container_actions)),
        seconds=time.monotonic() - started,
        warnings=tuple(context.warnings),
    )


def _observe(
    context: Context, agreed: BoundPlan | None, before: Plan | None = None
) -> tuple[HostState, Plan]:
    """Read the host and plan the push. Raises PlanRefused when it is not what was agreed to."""
    state, plan = context.observe(before)
    if agreed:
        agreed.check_host(state, plan)
    return state, plan


def _observe_early(context: Context, agreed: BoundPlan | None) -> tuple[HostState, Plan] | None:
    """Read the host and plan the push as `_observe` does; return None for a host that is not ready to be read."""
    try:
        return _observe(context, agreed)
    except CommandFailed:
        return None


def _took_a_release(state: HostState, settings: PushSettings) -> bool:
    """Return whether the host took a release before, still has all of Docker, and has enough free space."""
    return state.journal is not None and state.can_carry_out and state.free_bytes >= settings.min_free_bytes


def retire(
    settings: PushSettings, deadline_seconds: float = 20, *, connector: Connector = connect
) -> tuple[str, ...]:
    """Stop and remove the containers before the host is destroyed. Best effort: return problems as warnings."""
    deadline = Deadline(deadline_seconds)
    argv = ["docker", "compose", "--project-name", settings.project_name, "down", "--remove-orphans"]
    try:
        with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
            connection.run(argv, deadline=max(1.0, deadline.left), step="docker compose down")
    except ProvisioningError as error:
        return (f"the services were not stopped cleanly: {error}",)
    return ()

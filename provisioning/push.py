"""The way of a release onto a host, step by step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.deadline import Deadline
from provisioning.errors import ProvisioningError, ServiceFailure, UnhealthyRelease
from provisioning.events import Report, masked, silent, step
from provisioning.health import bring_up, check_services, log_tail, make_images
from provisioning.host_errors import ConnectionLost
from provisioning.lock import hold
from provisioning.masking import Mask
from provisioning.plan import HostState, Plan
from provisioning.ready import Connector, climb, wait_for_login
from provisioning.release import read_release
from provisioning.rollback import put_back, stop_bad
from provisioning.settings import PushSettings
from provisioning.smoke import smoke
from provisioning.ssh import connect
from provisioning.under_way import Push, begin, publish

if TYPE_CHECKING:
    from provisioning.plan_file import BoundPlan


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
    connector: Connector = connect,
    run_dir: str = "/run/cloud-init",
) -> PushResult:
    """Bring the project's release onto the host and leave it serving, or leave what served before.

    Idempotent: a host that already is as wanted is only looked at. With `agreed`, a plan that somebody has
    read, nothing is done when the tree or the host has changed since. Raises UnhealthyRelease after the
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
    if agreed:
        agreed.check_release(settings, release.digest)
    with ExitStack() as open_connections:
        connection = open_connections.enter_context(
            wait_for_login(settings.target, deadline, report, connector=connector)
        )
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
            ) as held:
                # Only what is seen under the lock counts.
                state, plan = push.look(seen)
                held.detail = plan.summary
                if plan.nothing_to_do:
                    held.result, held.detail = "nothing to do", ""
                else:
                    sent = _carry_out_or_say_why(push, state, plan, started)
    return PushResult(
        release=release.digest,
        changed=not plan.nothing_to_do,
        uploaded_files=len(plan.uploads),
        uploaded_bytes=sent,
        container_actions=tuple(map(str, plan.container_actions)),
        seconds=time.monotonic() - started,
        warnings=tuple(push.warnings),
    )


def _took_one_before(state: HostState, settings: PushSettings) -> bool:
    """Whether the host can take a release: it took one, its Docker has just answered, and it has room."""
    return state.journal is not None and state.free_bytes >= settings.min_free_bytes


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


def _carry_out_or_say_why(push: Push, state: HostState, plan: Plan, started: float) -> int:
    """As _carry_out; a failure that left the services alone ends the journal's entry too."""
    try:
        return _carry_out(push, state, plan, started)
    except (ConnectionLost, UnhealthyRelease):
        raise
    except ProvisioningError as error:
        if push.store.push and not push.ended and push.connection.active:
            push.end(_entry(push, state, "failed", started, error=str(error)), Deadline(30))
        raise


def _carry_out(push: Push, state: HostState, plan: Plan, started: float) -> int:
    """Everything from the upload to the journal; returns how many bytes were sent."""
    content = begin(push, state, plan)
    sent = publish(push, state, plan, content)
    touched = plan.container_actions
    took: dict[str, float] = {}
    parts = push.release.parts
    make_images(push.store, push.project, touched, parts, push.deadline, push.report)
    if touched:
        try:
            took = bring_up(
                push.store,
                push.project,
                touched,
                push.manifest,
                state,
                push.deadline,
                push.settings.wait_seconds,
                push.report,
            )
            _prove(push)
        except ConnectionLost:
            # Nothing can be put back from here; the next push finds what is left and goes on.
            raise
        except ProvisioningError as error:
            raise _go_back(push, state, error, started) from error
    with step("record", push.report) as running:
        removed = push.end(
            _entry(push, state, "ok", started, actions=[str(action) for action in touched], took=took),
            push.deadline,
            switch_to=push.release.digest,
            keep=push.settings.keep_releases,
        )
        running.detail = f"{push.release.short} is current" + (
            f"; removed {', '.join(removed)}" if removed else ""
        )
    return sent


def _prove(push: Push) -> None:
    with step("read back", push.report) as running:
        check_services(push.release.parts, push.store.read_containers(push.deadline))
        running.detail = f"every container runs {push.release.short}"
    with step("smoke test", push.report) as running:
        said = smoke(push.connection, push.release.parts, push.settings.open_ports, push.deadline)
        for text in said:
            push.warn(text)


def _go_back(push: Push, state: HostState, error: ProvisioningError, started: float) -> ProvisioningError:
    """Undo what a failed push changed, and return the error that tells about it."""
    mask = Mask.of(push.settings.secrets.values.values())
    if isinstance(error, ServiceFailure):
        # What a service says about its own failure may hold what it was given.
        error = ServiceFailure(error.service, mask.text(error.reason))
    failed = error.service if isinstance(error, ServiceFailure) else ""
    tail = log_tail(push.store, push.project, failed) if failed else ()
    previous = state.current_manifest if state.current != push.release.digest else None
    restored = None
    if previous is not None:
        restored = put_back(push.store, previous, push.settings.wait_seconds, push.report)
        short = previous["release"][:12]
        outcome = (
            f"the previous release {short} serves again"
            if restored
            else f"the previous release {short} did not come up either: look at `onebox status`"
        )
    else:
        stopped = stop_bad(push.store, push.project, failed, push.report)
        names = f"; stopped: {', '.join(stopped)}" if stopped else ""
        outcome = f"there is no previous release to go back to{names}"
    entry = _entry(push, state, "failed", started, error=str(error), restored=restored)
    push.end(entry, Deadline(30))
    if isinstance(error, ServiceFailure):
        tail = tuple(map(mask.text, tail))
        return UnhealthyRelease(failed, error.reason, log_tail=tail, restored=restored, outcome=outcome)
    push.warn(outcome)
    return error


def _entry(push: Push, state: HostState, result: str, started: float, **more: Any) -> Mapping[str, Any]:
    last: Mapping[str, Any] = state.journal or {}
    previous = state.current if state.current != push.release.digest else last.get("previous")
    return {
        "release": push.release.digest,
        "previous": previous,
        "result": result,
        "seconds": round(time.monotonic() - started, 1),
        "environment": push.release.environment,
        **more,
    }

"""Apply a plan: publish the release, roll it out, verify and record it; undo the rollout when it fails."""

from __future__ import annotations

import time
from dataclasses import replace

from provisioning.agent.store.journal_entry import JournalEntry
from provisioning.deadline import Deadline
from provisioning.deploy.context import Context
from provisioning.deploy.rollout import check_services, log_tail, make_images, roll_out, stop_unhealthy
from provisioning.errors import ProvisioningError, RestoreFailed, ServiceFailure, UnhealthyRelease
from provisioning.events import StepFinished, step
from provisioning.host.store import make_archive
from provisioning.host.stored_secrets import mask_on
from provisioning.host_errors import ConnectionLost, DiskFull
from provisioning.plan.disk import file_bytes
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan, make_plan
from provisioning.redaction import Mask
from provisioning.release.manifest import Release
from provisioning.services.smoke import smoke

_NOTHING_TO_RESTORE = "there is no previous release to restore"
_RECORD_SECONDS = 30.0
_LOG_SECONDS = 20.0
_RESTORE_EXTRA_SECONDS = 120.0


def apply(context: Context, plan: Plan, state: HostState) -> int:
    """Make the host serve the plan's release, as seen in `state`, under the lock; return the bytes that were sent.

    A failure before the first container is touched ends the journal's entry. A later one is undone: see `undo`.
    ConnectionLost leaves the entry open, and the next change of the host continues from what it finds.
    """
    context, archive = _begin(context, plan, state)
    actions = plan.container_actions
    try:
        sent = _publish(context, plan, state, archive)
        make_images(context, actions)
    except ConnectionLost:
        raise
    except ProvisioningError as error:
        _record_failure(context, state, str(error))
        raise
    try:
        took = roll_out(context, actions, state)
        if actions:
            _verify(context, frozenset(action.service for action in actions))
    except ConnectionLost:
        raise
    except ProvisioningError as error:
        raise undo(context, state, error) from error
    with step("record", context.report) as running:
        removed = context.store.finish(
            replace(_entry(context, state, "ok"), actions=tuple(map(str, actions)), took=dict(took)),
            context.deadline,
            switch_to=context.release.digest,
            keep=context.settings.keep_releases,
        )
        pruned = f"; removed {', '.join(removed)}" if removed else ""
        running.detail = f"{context.release.short} is current{pruned}"
    return sent


def undo(context: Context, state: HostState, error: ProvisioningError) -> ProvisioningError:
    """Restore the release that served before, from what the host keeps, and record the failure.

    Without such a release, stop what is unhealthy: a service that crashes again and again is worse than one that
    is stopped. Returns the error to raise. It reports `error` first, then, where the undo failed too, its reason.
    """
    failed = error.service if isinstance(error, ServiceFailure) else ""
    mask, tail = _masked_log(context, failed)
    if isinstance(error, ServiceFailure):
        # What a service reports about its own failure may hold a secret.
        error = ServiceFailure(failed, mask.text(error.reason))
    previous = state.current_release if state.current != context.release.digest else None
    aim = f"the previous release {previous.short}" if previous else _NOTHING_TO_RESTORE
    restored, is_undone = None, True
    try:
        if previous is None:
            stopped = stop_unhealthy(context, failed)
            outcome = f"{aim}; stopped: {', '.join(stopped)}" if stopped else aim
        else:
            _restore(context, previous)
            restored, outcome = previous.digest, f"{aim} serves again"
    except ProvisioningError as second:
        is_undone = False
        lost = "could not be restored" if previous else "and the unhealthy services could not be stopped"
        outcome = f"{aim}{' ' if previous else ', '}{lost}: {mask.text(str(second))}"
    _record_failure(context, state, mask.text(str(error)), restored=restored, outcome=outcome)
    if isinstance(error, ServiceFailure):
        return UnhealthyRelease(
            failed, error.reason, log_tail=tail, restored=restored, outcome=outcome, is_undone=is_undone
        )
    if not is_undone:
        return RestoreFailed(error, outcome)
    context.warn(outcome)
    return error


def _begin(context: Context, plan: Plan, state: HostState) -> tuple[Context, bytes | None]:
    """Check the free space, open the journal's entry and clean up; return also the archive to send, if any."""
    needed = file_bytes(context.release, plan, state)
    if needed > state.free_bytes:
        raise DiskFull(needed, state.free_bytes, f"the release {context.release.short}")
    archive = make_archive(plan.uploads, context.release.contents) if plan.uploads else None
    if state.unfinished:
        what, who = state.unfinished.what or "push", state.unfinished.who or "an unknown user"
        context.warn(f"the {what} of {who} was interrupted in: {state.unfinished.step}; continuing")
    store, removed = context.store.begin(
        context.what, context.release.digest, context.deadline, archive=archive
    )
    if removed:
        context.report(StepFinished("clean up", 0.0, f"removed {', '.join(removed)}"))
    return replace(context, store=store), archive


def _publish(context: Context, plan: Plan, state: HostState, archive: bytes | None) -> int:
    """Write the files and secrets that the host lacks; return the bytes that were sent."""
    if not plan.publish:
        return 0
    path, sent = None, 0
    if archive is not None:
        with step("upload", context.report) as running:
            path, sent = context.store.upload(archive, context.deadline)
            before = f", {len(archive) - sent} were there" if sent < len(archive) else ""
            running.detail = f"{len(plan.uploads)} files, {sent} bytes{before}"
    if state.secret_problems:
        with step("secrets", context.report) as running:
            context.store.keep_secrets(
                context.settings.secrets, context.release.secrets, state.secret_problems, context.deadline
            )
            running.detail = f"{len(state.secret_problems)} written"
    with step("publish", context.report):
        context.store.publish(context.release, path, context.deadline)
    return sent


def _verify(context: Context, touched: frozenset[str]) -> None:
    """Compare the containers with the release, then test the services. Raises ServiceFailure."""
    with step("verify", context.report) as running:
        check_services(context.release.services, context.store.read_containers(context.deadline))
        running.detail = f"every container runs {context.release.short}"
    with step("smoke test", context.report):
        for text in smoke(
            context.connection,
            context.release,
            context.settings.open_ports,
            context.deadline,
            touched,
        ):
            context.warn(text)


def _restore(context: Context, previous: Release) -> None:
    """Roll out every service that differs from the previous release, also one that an earlier change left so.

    It has a deadline of its own: the change's may just have passed.
    """
    seconds = context.settings.wait_seconds * max(1, len(previous.services)) + _RESTORE_EXTRA_SECONDS
    context = replace(context, release=previous, deadline=Deadline(seconds))
    with step("restore the previous release", context.report) as running:
        state = context.store.read_state(previous, context.deadline)
        actions = make_plan(previous, state).container_actions
        make_images(context, actions)
        roll_out(context, actions, state)
        running.detail = f"{previous.short} serves again"


def _masked_log(context: Context, service: str) -> tuple[Mask, tuple[str, ...]]:
    """Return a mask for what the services report, and the masked end of one service's log."""
    try:
        # A retained release may run with values that the stack's configuration no longer has.
        mask = mask_on(context.store, context.settings.secrets, Deadline(_LOG_SECONDS))
    except ProvisioningError:
        # A log that cannot be masked is not shown.
        return Mask.of(context.settings.secrets.values.values()), ()
    return mask, tuple(map(mask.text, log_tail(context, service))) if service else ()


def _record_failure(
    context: Context, state: HostState, error: str, restored: str | None = None, outcome: str = ""
) -> None:
    """End the journal's entry, where the host can be reached. A failure of this must not hide the first one."""
    if not context.connection.active:
        return
    try:
        entry = replace(_entry(context, state, "failed"), error=error, restored=restored, outcome=outcome)
        context.store.finish(entry, Deadline(_RECORD_SECONDS))
    except ProvisioningError as second:
        context.warn(f"the failure is not in the host's journal: {second}")


def _entry(context: Context, state: HostState, result: str) -> JournalEntry:
    """Return the last line of this change for the journal."""
    is_repair = state.current == context.release.digest
    last = state.journal.previous if state.journal else None
    return JournalEntry(
        release=context.release.digest,
        previous=last if is_repair else state.current,
        result=result,
        seconds=round(time.monotonic() - context.started, 1),
        environment=dict(context.release.environment),
    )

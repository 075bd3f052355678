"""The second half of a push: what the plan says is done, proved, and written down, or undone."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from provisioning.deadline import Deadline
from provisioning.deploy.context import Push, begin, publish
from provisioning.deploy.rollback import put_back, stop_bad
from provisioning.deploy.rollout import bring_up, check_services, log_tail, make_images
from provisioning.errors import ProvisioningError, ServiceFailure, UnhealthyRelease
from provisioning.events import step
from provisioning.host_errors import ConnectionLost
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan
from provisioning.redaction import Mask
from provisioning.services.smoke import smoke


def carry_out(push: Push, state: HostState, plan: Plan, started: float) -> int:
    """Everything from the upload to the journal; returns how many bytes were sent.

    A failure that left the services alone ends the journal's entry too. Raises UnhealthyRelease after the previous
    release was put back.
    """
    try:
        return _carry_out(push, state, plan, started)
    except (ConnectionLost, UnhealthyRelease):
        raise
    except ProvisioningError as error:
        if push.store.push and not push.ended and push.connection.active:
            push.end(_entry(push, state, "failed", started, error=str(error)), Deadline(30))
        raise


def _carry_out(push: Push, state: HostState, plan: Plan, started: float) -> int:
    content = begin(push, state, plan)
    sent = publish(push, state, plan, content)
    touched = plan.container_actions
    took: dict[str, float] = {}
    parts = push.release.services
    make_images(push.store, push.project, touched, parts, push.deadline, push.report)
    if touched:
        try:
            took = bring_up(
                push.store,
                push.project,
                touched,
                push.release,
                state,
                push.deadline,
                push.settings.wait_seconds,
                push.report,
            )
            _prove(push, {action.service for action in touched})
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


def _prove(push: Push, touched: Collection[str]) -> None:
    with step("read back", push.report) as running:
        check_services(push.release.services, push.store.read_containers(push.deadline))
        running.detail = f"every container runs {push.release.short}"
    with step("smoke test", push.report) as running:
        said = smoke(push.connection, push.release, push.settings.open_ports, push.deadline, touched)
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
    previous = state.current_release if state.current != push.release.digest else None
    restored = None
    if previous is not None:
        restored = put_back(push.store, previous, push.settings.wait_seconds, push.report)
        short = previous.short
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

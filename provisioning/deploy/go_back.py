"""Going back on request: a release that the host keeps serves again, as a set, from what is already there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.deploy.rollback import put_back
from provisioning.deploy.rollout import bring_up, check_services, log_tail, make_images
from provisioning.errors import HostMoved, ProvisioningError, ServiceFailure, UnhealthyRelease
from provisioning.events import Report, WarningGiven, masked, silent, step
from provisioning.host.docker_commands import Project
from provisioning.host.history import SHORT, Differences, KeptRelease, choose, difference, kept_on
from provisioning.host.lock import hold
from provisioning.host.readiness import Connector, wait_for_login, wait_until_ready
from provisioning.host.store import Store
from provisioning.host.stored_secrets import mask_on
from provisioning.host_errors import ConnectionLost, HostError
from provisioning.plan.observed import HostState
from provisioning.plan.plan import ServiceAction, service_actions
from provisioning.plan.preview import ServiceForecast, service_forecast
from provisioning.redaction import Mask
from provisioning.release.manifest import Release
from provisioning.services.smoke import smoke
from provisioning.ssh import connect

_PUSH_AGAIN = "Push its tree again: `git checkout` it, then `onebox push`."


@dataclass(frozen=True)
class RollbackPlan:
    """What going back would do. `differences` are those between what serves and what would serve."""

    current: str | None
    target: KeptRelease
    actions: tuple[ServiceAction, ...]
    differences: Differences | None
    services: tuple[ServiceForecast, ...] = ()
    """The actions with the seconds in which nobody answers."""

    def as_json(self) -> dict[str, Any]:
        """What a reader of `--json` gets."""
        return {
            "release": self.target.release,
            "current": self.current,
            "at": self.target.at,
            "who": self.target.who,
            "services": [
                {
                    "service": item.service,
                    "action": str(item),
                    "reason": item.reason,
                    "text": str(told),
                    "seconds_without_answer": told.seconds_without_answer,
                    "measured": told.measured,
                }
                for item, told in zip(self.actions, self.services, strict=True)
            ],
            "differences": asdict(self.differences) if self.differences else None,
        }


@dataclass(frozen=True)
class RollbackResult:
    """What a rollback did."""

    release: str
    previous: str | None
    container_actions: tuple[str, ...]
    seconds: float
    warnings: tuple[str, ...]


def plan_rollback(
    settings: PushSettings,
    wanted: str | None = None,
    deadline_seconds: float = 30,
    *,
    connector: Connector = connect,
) -> RollbackPlan:
    """What going back to a kept release (None: the previous one) would do. Changes nothing.

    Raises SettingsError for a release that is unknown, serving already, or no longer kept, and HostError
    when files of it are gone from the host.
    """
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        kept = kept_on(store, deadline)
        target = choose(kept, wanted)
        release = kept.manifests[target.release]
        state = _look(store, release, deadline)
        serving = kept.manifests.get(state.current or "")
        actions = service_actions(release, state)
        return RollbackPlan(
            current=state.current,
            target=target,
            actions=actions,
            differences=difference(serving, release) if serving else None,
            services=tuple(service_forecast(action, state) for action in actions),
        )


def roll_back(
    settings: PushSettings,
    plan: RollbackPlan,
    report: Report = silent,
    *,
    connector: Connector = connect,
    run_dir: str = "/run/cloud-init",
) -> RollbackResult:
    """Make the release of a plan serve, or leave what served before.

    Raises HostMoved when the host is no longer as the plan saw it, UnhealthyRelease after what served
    before was put back, Locked when somebody else holds the host, and other ProvisioningErrors.
    """
    started = time.monotonic()
    deadline = Deadline(settings.deadline_seconds)
    mask = Mask.of(settings.secrets.values.values())
    report = masked(report, mask.text)
    # Nothing is uploaded, and a disk that is full is one more reason to go back.
    ready = replace(settings, min_free_bytes=0)
    connection, said = wait_until_ready(ready, deadline, report, connector=connector, run_dir=run_dir)
    warnings = list(said)
    with connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        with hold(
            store,
            deadline,
            what="rollback",
            release=plan.target.release,
            wait_seconds=settings.lock_wait_seconds,
            report=report,
            mask=mask,
        ) as held:
            release = kept_on(store, deadline).manifests.get(plan.target.release)
            if release is None:
                raise HostMoved("the release was pruned")
            state = _look(store, release, deadline)
            actions = service_actions(release, state)
            if (state.current, actions) != (plan.current, plan.actions):
                raise HostMoved("somebody pushed, or a container changed")
            touched = tuple(action for action in actions if action.container != "nothing")
            held.detail = f"from {(state.current or 'nothing')[:SHORT]}: {', '.join(map(str, touched))}"
            warnings += _carry_out(settings, store, release, state, touched, deadline, report, started)
    for text in warnings:
        report(WarningGiven(text))
    return RollbackResult(
        release=plan.target.release,
        previous=plan.current,
        container_actions=tuple(map(str, touched)),
        seconds=time.monotonic() - started,
        warnings=tuple(warnings),
    )


def _look(store: Store, release: Release, deadline: Deadline) -> HostState:
    state = store.read_state(release, deadline)
    if state.needed:
        raise HostError(
            f"{len(state.needed)} files of the release {release.short} are gone from the host",
            hint=_PUSH_AGAIN,
        )
    if state.secret_problems:
        problem = next(iter(state.secret_problems.values()))
        raise HostError(
            f"a secret of the release {release.short} is not what it was: {problem}",
            hint=_PUSH_AGAIN,
        )
    return state


def _carry_out(
    settings: PushSettings,
    store: Store,
    release: Release,
    state: HostState,
    touched: tuple[ServiceAction, ...],
    deadline: Deadline,
    report: Report,
    started: float,
) -> tuple[str, ...]:
    """From the files to the journal; warnings about ports. Puts back what served when it does not come up."""
    project = Project(store.project, store.root, release.digest)
    entry = {
        "release": release.digest,
        "previous": state.current,
        "environment": dict(release.environment),
        "actions": [str(action) for action in touched],
    }
    store, _ = store.begin("rollback", release.digest, deadline)
    try:
        if state.problems or any(state.data_problems.values()):
            with step("repair the release's files", report):
                store.publish(release, None, deadline)
        make_images(store, project, touched, release.services, deadline, report)
        took = bring_up(store, project, touched, release, state, deadline, settings.wait_seconds, report)
        with step("read back", report) as running:
            check_services(release.services, store.read_containers(deadline))
            running.detail = f"every container runs {release.short}"
        with step("smoke test", report):
            # The others never stopped answering, and Prometheus would take a scrape's time to notice.
            names = {item.service for item in touched}
            changed = {name: record for name, record in release.services.items() if name in names}
            tested = replace(release, services=changed)
            said = smoke(store.connection, tested, settings.open_ports, deadline, changed)
    except ConnectionLost:
        # Nothing can be put back from here; the next push or rollback finds what is left and goes on.
        raise
    except ProvisioningError as error:
        raise _undo(settings, store, state, project, entry, error, report, started) from error
    with step("record", report) as running:
        store.finish(
            {**entry, "result": "ok", "took": took, "seconds": round(time.monotonic() - started, 1)},
            deadline,
            switch_to=release.digest,
            keep=settings.keep_releases,
        )
        running.detail = f"{release.short} is current"
    return said


def _undo(
    settings: PushSettings,
    store: Store,
    state: HostState,
    project: Project,
    entry: Mapping[str, Any],
    error: ProvisioningError,
    report: Report,
    started: float,
) -> ProvisioningError:
    """Put back what served before, and return the error that tells about it."""
    failed = error.service if isinstance(error, ServiceFailure) else ""
    tail: tuple[str, ...] = ()
    try:
        # The release that failed may have run with values that the stack's config no longer has.
        mask = mask_on(store, settings.secrets, Deadline(20))
        tail = tuple(map(mask.text, log_tail(store, project, failed))) if failed else ()
    except ProvisioningError:
        mask = Mask.of(settings.secrets.values.values())
    if isinstance(error, ServiceFailure):
        # What a service says about its own failure may hold what it was given.
        error = ServiceFailure(error.service, mask.text(error.reason))
    restored, outcome = None, "there is no release to go back to"
    if state.current_release is not None:
        restored = put_back(store, state.current_release, settings.wait_seconds, report)
        short = state.current_release.short
        outcome = (
            f"the release {short} serves again"
            if restored
            else f"the release {short} did not come up either: look at `onebox status`"
        )
    store.finish(
        {
            **entry,
            "result": "failed",
            "error": mask.text(str(error)),
            "restored": restored,
            "seconds": round(time.monotonic() - started, 1),
        },
        Deadline(30),
    )
    if isinstance(error, ServiceFailure):
        return UnhealthyRelease(failed, error.reason, log_tail=tail, restored=restored, outcome=outcome)
    report(WarningGiven(outcome))
    return error

"""Rollback: a change whose release comes from the host's store instead of the tree."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.deploy.apply import apply
from provisioning.deploy.context import Context
from provisioning.errors import HostMoved
from provisioning.events import Report, masked, silent
from provisioning.host.history import SHORT, Differences, KeptRelease, choose, difference, kept_on
from provisioning.host.readiness import Connector, wait_for_login, wait_until_ready
from provisioning.host.store import Store
from provisioning.host_errors import HostError
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan, ServiceAction
from provisioning.plan.preview import ServiceForecast, service_forecast
from provisioning.redaction import Mask
from provisioning.ssh import connect


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback would do. `differences` are those between the current release and the target."""

    current: str | None
    target: KeptRelease
    actions: tuple[ServiceAction, ...]
    differences: Differences | None
    services: tuple[ServiceForecast, ...] = ()
    """The actions with the seconds without an answer."""

    def as_json(self) -> dict[str, object]:
        """Return the plan as `--json` shows it."""
        return {
            "release": self.target.release,
            "current": self.current,
            "at": self.target.at,
            "who": self.target.who,
            "services": [
                {
                    "service": action.service,
                    "action": str(action),
                    "reason": action.reason,
                    "text": str(forecast),
                    "seconds_without_answer": forecast.seconds_without_answer,
                    "measured": forecast.measured,
                }
                for action, forecast in zip(self.actions, self.services, strict=True)
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
    """Return the plan of a rollback to the retained release whose digest begins with `wanted`, or to the previous one.

    Changes nothing. Raises SettingsError for a release that is unknown, current or no longer kept, and HostError
    when files of it are gone from the host.
    """
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        kept = kept_on(store, deadline)
        target = choose(kept, wanted)
        release = kept.manifests[target.release]
        state, plan = _observe(Context("rollback", settings, release, store, deadline, silent))
        serving = kept.manifests.get(state.current or "")
        return RollbackPlan(
            current=state.current,
            target=target,
            actions=plan.actions,
            differences=difference(serving, release) if serving else None,
            services=tuple(service_forecast(action, state) for action in plan.actions),
        )


def roll_back(
    settings: PushSettings,
    agreed: RollbackPlan,
    report: Report = silent,
    *,
    connector: Connector = connect,
    run_dir: str = "/run/cloud-init",
) -> RollbackResult:
    """Make the host serve the release of a plan, or leave what served before.

    Raises HostMoved when the host is no longer as the plan shows it, UnhealthyRelease after the release that
    served before was restored, Locked when another user holds the host, and other ProvisioningErrors.
    """
    started = time.monotonic()
    deadline = Deadline(settings.deadline_seconds)
    report = masked(report, Mask.of(settings.secrets.values.values()).text)
    # Nothing is uploaded, and a full disk is one more reason for a rollback.
    ready = replace(settings, min_free_bytes=0)
    connection, notes = wait_until_ready(ready, deadline, report, connector=connector, run_dir=run_dir)
    with connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        release = kept_on(store, deadline).manifests.get(agreed.target.release)
        if release is None:
            raise HostMoved("the release was pruned")
        context = Context("rollback", settings, release, store, deadline, report, started=started)
        for text in notes:
            context.warn(text)
        with context.lock() as held:
            # Only what is seen under the lock counts.
            state, plan = _observe(context)
            if (state.current, plan.actions) != (agreed.current, agreed.actions):
                raise HostMoved("another user pushed, or a container changed")
            actions = tuple(map(str, plan.container_actions))
            held.detail = f"from {(state.current or 'nothing')[:SHORT]}: {', '.join(actions)}"
            apply(context, plan, state)
    return RollbackResult(
        release=release.digest,
        previous=agreed.current,
        container_actions=actions,
        seconds=time.monotonic() - started,
        warnings=tuple(context.warnings),
    )


def _observe(context: Context) -> tuple[HostState, Plan]:
    """Read the host and plan the rollback. Raises HostError when the release is not whole on the host."""
    state, plan = context.observe()
    if not state.present:
        raise HostMoved("the release was pruned")
    hint = "Push its tree again: `git checkout` it, then `onebox push`."
    release = context.release.short
    if state.needed:
        raise HostError(
            f"{len(state.needed)} files of the release {release} are missing on the host", hint=hint
        )
    if state.secret_problems:
        problem = next(iter(state.secret_problems.values()))
        raise HostError(f"a secret of the release {release} was changed on the host: {problem}", hint=hint)
    return state, plan

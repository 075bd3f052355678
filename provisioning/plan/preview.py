"""Pure: the forecast of a push: what it would change, how long services would not answer, and its disk use."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from provisioning.plan.diff import FileChange
from provisioning.plan.disk import needed_bytes
from provisioning.plan.observed import HostState, SplitInForce
from provisioning.plan.plan import ContainerWork, ImageWork, Plan, ServiceAction
from provisioning.redaction import Mask
from provisioning.release.compose_file import default_of
from provisioning.release.manifest import Release

SECONDS_NEVER_MEASURED = 10.0
"""Stated for a service whose recreation this host's journal has never timed."""
SPLIT_VARIABLES = ("MODEL_V1_WEIGHT", "MODEL_V2_WEIGHT")


@dataclass(frozen=True)
class ServiceForecast:
    """What would happen to one service."""

    service: str
    action: str
    """`nothing`, `reload`, `start`, `recreate`, `rebuild and recreate`, `create`, `build and create`, `remove`."""
    image: str
    """`keep`, `tag` or `build`."""
    reason: str
    seconds_without_answer: float | None
    """None where the service keeps answering, or does not answer now."""
    measured: bool
    """Whether the seconds come from this host's journal; else they are SECONDS_NEVER_MEASURED."""
    container_action: str
    """The action as a push's result names it; empty for nothing. The plan's JSON calls it `deed`."""

    def __str__(self) -> str:
        """Return one line: the action, and how long the service does not answer."""
        if self.seconds_without_answer is None:
            return self.action
        guess = "" if self.measured else ", never measured here"
        return f"{self.action}, about {math.ceil(self.seconds_without_answer)} s of downtime{guess}"


@dataclass(frozen=True)
class ValueChange:
    """A setting before and after, masked; None where it is not set."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Forecast:
    """Everything that a push of this release would do to this host."""

    release: str
    current: str | None
    services: tuple[ServiceForecast, ...]
    files: tuple[FileChange, ...]
    environment: tuple[ValueChange, ...]
    split: tuple[ValueChange, ...]
    """The weights of the two models, changed or not; empty where the services do not use them."""
    repairs: tuple[str, ...]
    """Drift that the push would repair."""
    upload_files: int
    upload_bytes: int
    disk_needed: int
    disk_free: int
    nothing_to_do: bool
    split_in_force: SplitInForce | None = None
    """A split that was set at run time; None while the pushed one is active."""

    @property
    def split_changed(self) -> bool:
        """Return whether the pushed traffic split would change."""
        return any(weight.before != weight.after for weight in self.split)

    @property
    def ends_split_in_force(self) -> bool:
        """Return whether the pushed split would replace the one that was set at run time."""
        pushed = "/".join(str(weight.after) for weight in self.split)
        return self.split_in_force is not None and self.split_in_force.pushed != pushed


def make_forecast(
    release: Release,
    plan: Plan,
    state: HostState,
    files: tuple[FileChange, ...],
    compose_files: tuple[str, str],
    mask: Mask,
) -> Forecast:
    """Return the forecast of a plan. `compose_files` are the texts of the current and the desired compose file."""
    before = state.current_release.environment if state.current_release else None
    return Forecast(
        release=release.digest,
        current=state.current,
        services=tuple(service_forecast(action, state) for action in plan.actions),
        files=files,
        environment=_environment(before or {}, release.environment, mask),
        split=_split(before, release.environment, compose_files),
        split_in_force=state.split_in_force,
        repairs=_repairs(release, plan, state),
        upload_files=len(plan.uploads),
        upload_bytes=sum(file.size for file in plan.uploads),
        disk_needed=needed_bytes(release, plan, state),
        disk_free=state.free_bytes,
        nothing_to_do=plan.nothing_to_do,
    )


def service_forecast(action: ServiceAction, state: HostState) -> ServiceForecast:
    """Return the effect of an action on the service's users, with the median of the recreations measured here."""
    name = action.service
    container = state.container(name)
    answers = container is not None and container.state == "running"
    seconds, measured = None, False
    if answers and action.container is ContainerWork.RECREATE:
        took = state.measured.get(name, ())
        seconds, measured = (statistics.median(took), True) if took else (SECONDS_NEVER_MEASURED, False)
    nothing = action.container is ContainerWork.NOTHING
    return ServiceForecast(
        service=name,
        action=_action_name(action, exists=container is not None),
        image=str(action.image),
        reason=action.reason,
        seconds_without_answer=seconds,
        measured=measured,
        container_action="" if nothing else str(action),
    )


def _action_name(action: ServiceAction, *, exists: bool) -> str:
    if action.container is not ContainerWork.RECREATE:
        return str(action.container)
    verb = "recreate" if exists else "create"
    if action.image is not ImageWork.BUILD:
        return verb
    return f"rebuild and {verb}" if exists else f"build and {verb}"


def _environment(before: Mapping[str, str], after: Mapping[str, str], mask: Mask) -> tuple[ValueChange, ...]:
    return tuple(
        ValueChange(
            name,
            mask.value(name, before[name]) if name in before else None,
            mask.value(name, after[name]) if name in after else None,
        )
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _split(
    before: Mapping[str, str] | None, after: Mapping[str, str], compose_files: tuple[str, str]
) -> tuple[ValueChange, ...]:
    old, new = compose_files
    weights = (
        ValueChange(
            name,
            None if before is None else before.get(name, default_of(old, name)),
            after.get(name, default_of(new, name)),
        )
        for name in SPLIT_VARIABLES
    )
    return tuple(weight for weight in weights if weight.before is not None or weight.after is not None)


def _repairs(release: Release, plan: Plan, state: HostState) -> tuple[str, ...]:
    found = [f"left by an unfinished push, to be removed: {path}" for path in state.leftovers]
    found += [f"an unfinished push, interrupted at: {state.unfinished.step}"] if state.unfinished else []
    if state.current_release is None:
        return tuple(found)
    found += [
        f"the file of a secret: {problem}" for problem in state.secret_problems.values() if state.present
    ]
    if state.current == release.digest:
        found += state.problems
        found += [
            f"{problem} in data/{key[:12]}" for key, all_ in state.data_problems.items() for problem in all_
        ]
        found += [f"{name}: {action.reason}" for action in plan.container_actions if (name := action.service)]
    return tuple(found)


def document_of(forecast: Forecast) -> dict[str, object]:
    """Return the forecast as docs/plan.schema.json describes it."""
    return {
        "release": {"digest": forecast.release, "current": forecast.current},
        "services": [
            {
                "service": item.service,
                "action": item.action,
                "text": str(item),
                "image": item.image,
                "reason": item.reason,
                "seconds_without_answer": item.seconds_without_answer,
                "measured": item.measured,
                "deed": item.container_action,
            }
            for item in forecast.services
        ],
        "files": [_file(change) for change in forecast.files],
        "environment": [_value(change) for change in forecast.environment],
        "split": {
            "changed": forecast.split_changed,
            "weights": [_value(change) for change in forecast.split],
            "in_force": _in_force(forecast),
        },
        "repairs": list(forecast.repairs),
        "upload": {"files": forecast.upload_files, "bytes": forecast.upload_bytes},
        "disk": {
            "needed_bytes": forecast.disk_needed,
            "free_bytes": forecast.disk_free,
            "enough": forecast.disk_free >= forecast.disk_needed,
        },
    }


def _in_force(forecast: Forecast) -> dict[str, object] | None:
    if forecast.split_in_force is None:
        return None
    return {**asdict(forecast.split_in_force), "ends": forecast.ends_split_in_force}


def _file(change: FileChange) -> dict[str, object]:
    sides = {
        name: None if side is None else {"sha256": side.sha256, "size": side.size, "mode": f"{side.mode:04o}"}
        for name, side in (("before", change.before), ("after", change.after))
    }
    diff = None if change.diff is None else list(change.diff)
    return {"path": change.path, "change": str(change.change), **sides, "diff": diff}


def _value(change: ValueChange) -> dict[str, object]:
    return {"name": change.name, "before": change.before, "after": change.after}

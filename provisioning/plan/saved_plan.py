"""A plan as a JSON document, bound to the release and to the observed state of the host."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from provisioning.agent.codec import parse
from provisioning.config.keys import fingerprint
from provisioning.config.settings import PushSettings
from provisioning.decode import Fields, WrongShape
from provisioning.errors import PlanRefused, SettingsError
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan
from provisioning.plan.preview import Forecast, document_of

SCHEMA = 1
NOTHING, CHANGES, UNKNOWN = "nothing", "changes", "unknown"


@dataclass(frozen=True)
class PlanHost:
    """The host of a plan, and the store on it."""

    address: str
    """`host:port` of SSH."""
    keys: tuple[str, ...]
    """Fingerprints of the trusted host keys, sorted."""
    root: str
    project: str


@dataclass(frozen=True)
class BoundPlan:
    """What a saved plan is bound to: the host, its state, the release, and the actions."""

    host: PlanHost
    release: str
    host_state: str
    actions: tuple[str, ...]

    def check_release(self, settings: PushSettings, digest: str) -> None:
        """Raise PlanRefused when the stack's host or the release of the tree is not the plan's."""
        wanted = asdict(self.host)
        for name, value in asdict(host_of(settings)).items():
            if wanted[name] != value:
                raise PlanRefused(
                    f"it was made for another host: its {name} differ{'' if name == 'keys' else 's'}"
                )
        if self.release != digest:
            raise PlanRefused(
                f"it is for the release {self.release[:12]}, and this tree now is {digest[:12]}"
            )

    def check_host(self, state: HostState, plan: Plan) -> None:
        """Raise PlanRefused when the observed state of the host is not the plan's."""
        actions = tuple(str(action) for action in plan.container_actions)
        if self.host_state != state_of(state):
            raise PlanRefused("the host has changed since it was made")
        if self.actions != actions:
            raise PlanRefused(
                f"it plans {', '.join(self.actions) or 'nothing'}, but a push would now do: {', '.join(actions)}"
            )


def state_of(state: HostState) -> str:
    """Return the SHA-256 hex of the observed state on which a push depends.

    Free space, sizes, the lock holder and the output of health checks are no part of it.
    """
    seen = {
        "current": state.current,
        "present": state.present,
        "problems": state.problems,
        "data_problems": {digest: found for digest, found in state.data_problems.items() if found},
        "secret_problems": dict(state.secret_problems),
        "unfinished": state.unfinished and state.unfinished.stored(),
        "leftovers": state.leftovers,
        "live": {name: [data.digest, data.in_force, data.problems] for name, data in state.live.items()},
        "needed": sorted(state.needed),
        "containers": sorted(
            [item.service, item.id, item.digest, item.image, item.image_id, item.state, item.health]
            for item in state.containers
        ),
        "last_push": [getattr(state.journal, name, None) for name in ("at", "release")],
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def host_of(settings: PushSettings) -> PlanHost:
    """Return the host of these settings as a plan names it."""
    return PlanHost(
        address=settings.target.address,
        keys=tuple(sorted(fingerprint(key) for key in settings.target.host_keys)),
        root=settings.remote_root,
        project=settings.project_name,
    )


def plan_document(settings: PushSettings, forecast: Forecast, state: HostState) -> dict[str, object]:
    """Return the plan as docs/plan.schema.json describes it."""
    return {
        **_head(settings, NOTHING if forecast.nothing_to_do else CHANGES, "", state_of(state)),
        **document_of(forecast),
    }


def unknown_document(settings: PushSettings, digest: str, reason: str) -> dict[str, object]:
    """Return the document of a plan that was not made because the host could not be read."""
    return {
        **_head(settings, UNKNOWN, reason, None),
        "release": {"digest": digest, "current": None},
        "services": [],
        "files": [],
        "environment": [],
        "split": {"changed": False, "weights": [], "in_force": None},
        "repairs": [],
        "upload": None,
        "disk": None,
    }


def _head(settings: PushSettings, verdict: str, reason: str, state: str | None) -> dict[str, object]:
    host = host_of(settings)
    return {
        "schema": SCHEMA,
        "verdict": verdict,
        "reason": reason,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": {**asdict(host), "keys": list(host.keys)},
        "host_state": state,
    }


def check_path(path: Path) -> None:
    """Raise SettingsError for a path where no plan can be written."""
    if path.is_dir():
        raise SettingsError("out", f"the plan cannot be written to {path}: it is a directory")
    if not path.parent.is_dir():
        raise SettingsError("out", f"the plan cannot be written to {path}: {path.parent} is not a directory")


def write_plan(document: Mapping[str, object], path: Path) -> None:
    """Write a plan atomically, readable for its owner only. Raises SettingsError."""
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(document, out, indent=2)
            out.write("\n")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise SettingsError("out", f"the plan cannot be written to {path}: {error.strerror}") from error


def read_plan(path: Path) -> BoundPlan:
    """Return the binding of a saved plan.

    Raises SettingsError for a file that is no plan, PlanRefused for a plan of a host that could not be read.
    """
    try:
        document: object = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError("plan", f"the plan {path} cannot be read: {reason}", hint=_HOW) from error
    except ValueError as error:
        raise SettingsError("plan", f"{path} is not a plan: it is not JSON", hint=_HOW) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise SettingsError("plan", f"{path} is not a plan of this version", hint=_HOW)
    if document.get("verdict") == UNKNOWN:
        raise PlanRefused("it was made while the host could not be read")
    try:
        return _bound(Fields(document, "plan"))
    except WrongShape as error:
        raise SettingsError("plan", f"{path} is an incomplete plan: {error}", hint=_HOW) from error


def _bound(plan: Fields) -> BoundPlan:
    host = plan.fields("host")
    actions = (service.text("deed") for service in plan.objects("services"))
    return BoundPlan(
        host=PlanHost(host.text("address"), host.texts("keys"), host.text("root"), host.text("project")),
        release=plan.fields("release").text("digest"),
        host_state=plan.text("host_state"),
        actions=tuple(action for action in actions if action),
    )


_HOW = "Make one with `onebox plan --out FILE`."

"""A plan as a document, bound to the host and the tree that it was made for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioning.config.keys import fingerprint
from provisioning.config.settings import PushSettings
from provisioning.errors import PlanRefused, SettingsError
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan
from provisioning.plan.preview import Forecast, document_of

SCHEMA = 1
NOTHING, CHANGES, UNKNOWN = "nothing", "changes", "unknown"


@dataclass(frozen=True)
class BoundPlan:
    """What a plan file says about the host and the release that it was made for."""

    host: Mapping[str, Any]
    release: str
    host_state: str
    deeds: tuple[str, ...]

    def check_release(self, settings: PushSettings, digest: str) -> None:
        """Raises PlanRefused when the tree, its values or the stack's host are others than the plan's."""
        for name, value in host_of(settings).items():
            if self.host.get(name) != value:
                raise PlanRefused(
                    f"it was made for another host: its {name} differ{'' if name == 'keys' else 's'}"
                )
        if self.release != digest:
            raise PlanRefused(
                f"it is for the release {self.release[:12]}, and this tree now is {digest[:12]}"
            )

    def check_host(self, state: HostState, plan: Plan) -> None:
        """Raises PlanRefused when the host is no longer as the plan saw it."""
        deeds = tuple(str(action) for action in plan.container_actions)
        if self.host_state != state_of(state):
            raise PlanRefused("the host has changed since it was made")
        if self.deeds != deeds:
            raise PlanRefused(f"it says {', '.join(self.deeds) or 'nothing'}, but {', '.join(deeds)} is due")


def state_of(state: HostState) -> str:
    """Pure: a digest of all that is on the host as far as a push goes by it.

    The words of health checks, free space, sizes and whoever looks on are no part of it.
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


def host_of(settings: PushSettings) -> dict[str, Any]:
    """Pure: which host, and which place on it, a plan is for."""
    return {
        "address": settings.target.address,
        "keys": sorted(fingerprint(key) for key in settings.target.host_keys),
        "root": settings.remote_root,
        "project": settings.project_name,
    }


def plan_document(settings: PushSettings, forecast: Forecast, state: HostState) -> dict[str, Any]:
    """The plan as docs/plan.schema.json describes it."""
    return {
        **_head(settings, NOTHING if forecast.nothing_to_do else CHANGES, "", state_of(state)),
        **document_of(forecast),
    }


def unknown_document(settings: PushSettings, digest: str, reason: str) -> dict[str, Any]:
    """The document of a plan that could not be made because the host could not be read."""
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


def _head(settings: PushSettings, verdict: str, reason: str, state: str | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "verdict": verdict,
        "reason": reason,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host_of(settings),
        "host_state": state,
    }


def check_place(path: Path) -> None:
    """Refuse a place where no plan can be written, before the host is asked. Raises SettingsError."""
    if path.is_dir():
        raise SettingsError("out", f"the plan cannot be written to {path}: it is a directory")
    if not path.parent.is_dir():
        raise SettingsError("out", f"the plan cannot be written to {path}: {path.parent} is not a directory")


def write_plan(document: Mapping[str, Any], path: Path) -> None:
    """Write a plan that only its owner can read, whole or not at all. Raises SettingsError."""
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
    """The binding of a plan file. Raises SettingsError for a file that is none, PlanRefused for one of no use."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError("plan", f"the plan {path} cannot be read: {reason}") from error
    except ValueError as error:
        raise SettingsError("plan", f"{path} is not a plan: it is not JSON", hint=_HOW) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise SettingsError("plan", f"{path} is not a plan of this version", hint=_HOW)
    if document.get("verdict") == UNKNOWN:
        raise PlanRefused("it was made while the host could not be read")
    try:
        return BoundPlan(
            host=dict(document["host"]),
            release=str(document["release"]["digest"]),
            host_state=str(document["host_state"]),
            deeds=tuple(str(item["deed"]) for item in document["services"] if item["deed"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError("plan", f"{path} is not a whole plan", hint=_HOW) from error


_HOW = "Make one with `onebox plan --out FILE`."

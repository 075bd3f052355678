"""Looks at the host and says what a push would do there. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.agent.observe.messages import ReadFacts, ReadFiles
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.errors import DeadlinePassed, NotReady
from provisioning.events import Report, silent, step
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.host_errors import HostError
from provisioning.plan.diff import FileChange, changed_files, wants_text, with_diff
from provisioning.plan.observed import HostState
from provisioning.plan.plan import make_plan
from provisioning.plan.preview import Forecast, make_forecast
from provisioning.plan.saved_plan import plan_document, unknown_document
from provisioning.redaction import Mask
from provisioning.release.environment import ENV_FILE
from provisioning.release.manifest import manifest_of
from provisioning.release.release import COMPOSE_FILE, Release, ReleaseFile, read_release
from provisioning.services.reload import read_texts
from provisioning.ssh import connect

DEADLINE_SECONDS = 15.0


@dataclass(frozen=True)
class Preview:
    """What a push would do. `forecast` is None when the host could not be read; `unknown` then says why."""

    document: Mapping[str, Any]
    """As docs/plan.schema.json describes it."""
    forecast: Forecast | None
    unknown: str = ""


def preview_push(
    settings: PushSettings,
    report: Report = silent,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    connector: Connector = connect,
) -> Preview:
    """The plan of a push of this tree, made over a connection that can only look.

    A host that cannot be read is no error: the preview says that nothing is known, and why. Raises
    ReleaseError when the tree cannot become a release.
    """
    deadline = Deadline(deadline_seconds)
    release = read_release(settings.project_root, settings.environment, settings.secrets)
    try:
        with (
            wait_for_login(settings.target, deadline, report, connector=connector) as connection,
            step("look at the host", report),
        ):
            connection.restrict_to(ReadFacts, ReadFiles)
            store = Store(connection, settings.remote_root, settings.project_name)
            return _look(store, settings, release, deadline)
    except (HostError, NotReady, DeadlinePassed) as error:
        return Preview(unknown_document(settings, release.digest, str(error)), None, str(error))


def _look(store: Store, settings: PushSettings, release: Release, deadline: Deadline) -> Preview:
    manifest = manifest_of(release, settings.remote_root)
    state = store.read_state(manifest, deadline)
    made_here = ReleaseFile(**next(file for file in manifest["files"] if file["path"] == ENV_FILE))
    plan = make_plan(release, state, (made_here,))
    mask = Mask.of(settings.secrets.values.values())
    changes = _files_of(state, release)
    old, new = _texts(store, state, settings.project_root, changes, deadline)
    compose = _read(settings.project_root, COMPOSE_FILE) or ""
    forecast = make_forecast(
        release,
        plan,
        state,
        # A first release is new altogether: to print all of it would say nothing.
        tuple(with_diff(item, old, new, mask) for item in changes) if state.current_manifest else changes,
        (old.get(COMPOSE_FILE, compose), compose),
        mask,
    )
    return Preview(plan_document(settings, forecast, state), forecast)


def _files_of(state: HostState, release: Release) -> tuple[FileChange, ...]:
    """What differs between the current release and the wanted one; the env file shows as its values."""
    entries: Iterable[Mapping[str, Any]] = (state.current_manifest or {}).get("files", ())
    before = (ReleaseFile(**entry) for entry in entries if entry["path"] != ENV_FILE)
    return changed_files(before, release.files)


def _texts(
    store: Store, state: HostState, root: Path, changes: tuple[FileChange, ...], deadline: Deadline
) -> tuple[dict[str, str], dict[str, str]]:
    """Path -> text on the host and here, of the changed files that are text. One round trip at most."""
    shown = [change for change in changes if wants_text(change)] if state.current_manifest else []
    old = [change.path for change in shown if change.before]
    before = read_texts(store, f"releases/{state.current}", old, deadline) if old else {}
    after = {change.path: _read(root, change.path) for change in shown if change.after}
    return before, {path: text for path, text in after.items() if text is not None}


def _read(root: Path, path: str) -> str | None:
    """A file of the tree; None when it is not text."""
    try:
        return (root / path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None

"""Preview a push: read the host and return the plan. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
from provisioning.release.environment import for_host
from provisioning.release.manifest import Release
from provisioning.release.release import read_release
from provisioning.release.tree import COMPOSE_FILE
from provisioning.services.reload import read_texts
from provisioning.ssh import connect

DEADLINE_SECONDS = 15.0


@dataclass(frozen=True)
class Preview:
    """What a push would do. `forecast` is None when the host could not be read, for the reason in `unknown`."""

    document: Mapping[str, object]
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
    """Return the plan of a push of this tree, made over a read-only connection.

    A host that cannot be read is no error: the preview then has no forecast, but the reason. Raises ReleaseError
    when the tree cannot become a release.
    """
    deadline = Deadline(deadline_seconds)
    release = for_host(
        read_release(settings.project_root, settings.environment, settings.secrets), settings.remote_root
    )
    try:
        with (
            wait_for_login(settings.target, deadline, report, connector=connector) as connection,
            step("observe the host", report),
        ):
            connection.restrict_to(ReadFacts, ReadFiles)
            store = Store(connection, settings.remote_root, settings.project_name)
            return _preview(store, settings, release, deadline)
    except (HostError, NotReady, DeadlinePassed) as error:
        return Preview(unknown_document(settings, release.digest, str(error)), None, str(error))


def _preview(store: Store, settings: PushSettings, release: Release, deadline: Deadline) -> Preview:
    state = store.read_state(release, deadline)
    plan = make_plan(release, state)
    mask = Mask.of(settings.secrets.values.values())
    changes = _files_of(state, release)
    old, new = _texts(store, state, release, changes, deadline)
    compose = _text(release, COMPOSE_FILE) or ""
    forecast = make_forecast(
        release,
        plan,
        state,
        # Everything of a first release is new: its diffs would show the whole tree.
        tuple(with_diff(item, old, new, mask) for item in changes) if state.current_release else changes,
        (old.get(COMPOSE_FILE, compose), compose),
        mask,
    )
    return Preview(plan_document(settings, forecast, state), forecast)


def _files_of(state: HostState, release: Release) -> tuple[FileChange, ...]:
    """Return the files that differ between the current and the desired release; the environment shows as values."""
    before = state.current_release.tree_files if state.current_release else ()
    return changed_files(before, release.tree_files)


def _texts(
    store: Store, state: HostState, release: Release, changes: tuple[FileChange, ...], deadline: Deadline
) -> tuple[dict[str, str], dict[str, str]]:
    """Return path -> text of the changed text files, on the host and in the tree. At most one round trip."""
    shown = [change for change in changes if wants_text(change)] if state.current_release else []
    old = [change.path for change in shown if change.before]
    before = read_texts(store, f"releases/{state.current}", old, deadline) if old else {}
    after = {change.path: _text(release, change.path) for change in shown if change.after}
    return before, {path: text for path, text in after.items() if text is not None}


def _text(release: Release, path: str) -> str | None:
    """Return the text of a file of the release; None when it is not text."""
    sha256 = next(file.sha256 for file in release.files if file.path == path)
    try:
        return release.contents[sha256].decode("utf-8")
    except UnicodeDecodeError:
        return None

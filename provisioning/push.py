"""The way of a release onto a host, step by step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.compose import ENV_FILE, Project, environment_text
from provisioning.deadline import Deadline
from provisioning.errors import (
    ConnectionLost,
    ProvisioningError,
    ServiceFailure,
    UnhealthyRelease,
)
from provisioning.events import Report, WarningGiven, silent, step
from provisioning.health import bring_up, check_services, log_tail, make_images
from provisioning.host import Store, make_archive
from provisioning.manifest import manifest_of
from provisioning.plan import HostState, Plan, make_plan
from provisioning.ready import Connector, wait_for_login, wait_until_ready
from provisioning.release import Release, ReleaseFile, read_release
from provisioning.rollback import put_back, stop_bad
from provisioning.settings import PushSettings
from provisioning.smoke import smoke
from provisioning.ssh import Connection, connect


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


@dataclass
class _Push:
    """One push under way: what stays the same through all of its steps."""

    settings: PushSettings
    release: Release
    deadline: Deadline
    report: Report
    connection: Connection
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.connection, self.settings.remote_root, self.settings.project_name)
        self.project = Project(self.settings.project_name, self.settings.remote_root, self.release.digest)
        self.manifest = manifest_of(self.release, self.settings.remote_root)
        self.env_text = environment_text(self.release, self.settings.remote_root).encode()
        entry = next(item for item in self.manifest["files"] if item["path"] == ENV_FILE)
        self.env_file = ReleaseFile(**entry)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.report(WarningGiven(text))

    def look(self) -> tuple[HostState, Plan]:
        with step("look at the host", self.report) as running:
            state = self.store.read_state(self.manifest, self.deadline)
            plan = make_plan(self.release, state, (self.env_file,))
            running.detail = (
                "up to date"
                if plan.nothing_to_do
                else ", ".join(map(str, plan.container_actions)) or "files only"
            )
        return state, plan


def push_release(
    settings: PushSettings,
    report: Report = silent,
    *,
    connector: Connector = connect,
    run_dir: str = "/run/cloud-init",
) -> PushResult:
    """Bring the project's release onto the host and leave it serving, or leave what served before.

    Idempotent: a host that already is as wanted is only looked at. Raises UnhealthyRelease after the
    previous release was put back, Locked when somebody else pushes, and other ProvisioningErrors.
    """
    started = time.monotonic()
    deadline = Deadline(settings.deadline_seconds)
    with step("read the release", report) as running:
        release = read_release(settings.project_root, settings.environment)
        running.detail = f"{release.short}, {len(release.files)} files"
    connection, said = wait_until_ready(settings, deadline, report, connector=connector, run_dir=run_dir)
    with connection:
        push = _Push(settings, release, deadline, report, connection)
        for text in said:
            push.warn(text)
        state, plan = push.look()
        sent = 0
        if not plan.nothing_to_do or state.holder:
            with push.store.lock(deadline, doing=f"push of {release.short}"):
                # Only what is seen under the lock counts.
                state, plan = push.look()
                if not plan.nothing_to_do:
                    sent = _carry_out(push, state, plan, started)
    return PushResult(
        release=release.digest,
        changed=not plan.nothing_to_do,
        uploaded_files=len(plan.uploads),
        uploaded_bytes=sent,
        container_actions=tuple(map(str, plan.container_actions)),
        seconds=time.monotonic() - started,
        warnings=tuple(push.warnings),
    )


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


def _carry_out(push: _Push, state: HostState, plan: Plan, started: float) -> int:
    """Everything from the upload to the journal; returns how many bytes were sent."""
    sent = _publish(push, plan)
    touched = plan.container_actions
    parts = push.release.parts
    make_images(push.store, push.project, touched, parts, push.deadline, push.report)
    if touched:
        try:
            bring_up(
                push.store, push.project, touched, push.deadline, push.settings.wait_seconds, push.report
            )
            _prove(push)
        except ConnectionLost:
            # Nothing can be put back from here; the next push finds what is left and goes on.
            raise
        except ProvisioningError as error:
            raise _go_back(push, state, error, started) from error
    with step("record", push.report) as running:
        removed = push.store.finish(
            _entry(push, state, "ok", started, actions=[str(action) for action in touched]),
            push.deadline,
            switch_to=push.release.digest,
            keep=push.settings.keep_releases,
        )
        running.detail = f"{push.release.short} is current" + (
            f"; removed {', '.join(removed)}" if removed else ""
        )
    return sent


def _publish(push: _Push, plan: Plan) -> int:
    if not plan.publish:
        return 0
    archive, sent = None, 0
    if plan.uploads:
        with step("upload", push.report) as running:
            content = make_archive(
                push.settings.project_root, plan.uploads, {push.env_file.sha256: push.env_text}
            )
            sent = len(content)
            archive = push.store.upload(content, push.deadline)
            running.detail = f"{len(plan.uploads)} files, {sent} bytes"
    with step("publish", push.report):
        push.store.publish(push.manifest, archive, push.deadline)
    return sent


def _prove(push: _Push) -> None:
    with step("read back", push.report) as running:
        state = push.store.read_state(push.manifest, push.deadline)
        check_services(push.release.parts, state)
        running.detail = f"every container runs {push.release.short}"
    with step("smoke test", push.report) as running:
        said = smoke(push.connection, push.release.parts, push.settings.open_ports, push.deadline)
        for text in said:
            push.warn(text)


def _go_back(push: _Push, state: HostState, error: ProvisioningError, started: float) -> ProvisioningError:
    """Undo what a failed push changed, and return the error that tells about it."""
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
    push.store.finish(entry, Deadline(30))
    if isinstance(error, ServiceFailure):
        return UnhealthyRelease(failed, error.reason, log_tail=tail, restored=restored, outcome=outcome)
    push.warn(outcome)
    return error


def _entry(push: _Push, state: HostState, result: str, started: float, **more: Any) -> Mapping[str, Any]:
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

"""One push under way, and its first half: from the look at the host to the release's files in their places."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.events import Report, StepFinished, StepStarted, WarningGiven, step
from provisioning.host.docker_commands import Project
from provisioning.host.store import Store, make_archive
from provisioning.host_errors import CommandFailed, DiskFull
from provisioning.plan.disk import file_bytes
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan, make_plan
from provisioning.release.manifest import Release
from provisioning.ssh import Connection

if TYPE_CHECKING:
    from provisioning.plan.saved_plan import BoundPlan


@dataclass
class Push:
    """One push under way: what stays the same through all of its steps."""

    settings: PushSettings
    release: Release
    deadline: Deadline
    report: Report
    connection: Connection
    agreed: BoundPlan | None = None
    warnings: list[str] = field(default_factory=list)
    ended: bool = False
    """The journal has been told how it ended."""

    def __post_init__(self) -> None:
        self.store = Store(self.connection, self.settings.remote_root, self.settings.project_name)
        self.project = Project(self.settings.project_name, self.settings.remote_root, self.release.digest)

    def warn(self, text: str) -> None:
        """Say something that does not stop the push."""
        self.warnings.append(text)
        self.report(WarningGiven(text))

    def end(self, entry: Mapping[str, Any], deadline: Deadline, **more: Any) -> tuple[str, ...]:
        """Write the journal's last line of this push; what was removed on the host."""
        self.ended = True
        return self.store.finish(entry, deadline, **more)

    def glance(self) -> tuple[HostState, Plan] | None:
        """As `look`, for a host that may not be ready for it: then None."""
        try:
            return self.look()
        except CommandFailed:
            return None

    def look(self, before: tuple[HostState, Plan] | None = None) -> tuple[HostState, Plan]:
        """What is on the host, and what has to be done there. Told, unless it is the same as `before`."""
        name, started = "look at the host", time.monotonic()
        self.report(StepStarted(name))
        state = self.store.read_state(self.release, self.deadline)
        plan = make_plan(self.release, state)
        if self.agreed:
            self.agreed.check_host(state, plan)
        if before is None or before[1] != plan:
            self.report(StepFinished(name, time.monotonic() - started, plan.summary))
        return state, plan


def begin(push: Push, state: HostState, plan: Plan) -> bytes | None:
    """Check the room, open the journal's entry and clean up; the archive that has to travel, if any."""
    needed = file_bytes(push.release, plan, state)
    if needed > state.free_bytes:
        raise DiskFull(needed, state.free_bytes, f"the release {push.release.short}")
    content = None
    if plan.uploads:
        content = make_archive(plan.uploads, push.release.contents)
    if state.unfinished:
        got_to, who = state.unfinished["step"], state.unfinished.get("who", "somebody")
        push.warn(
            f"the {state.unfinished.get('what', 'push')} of {who} was broken off in: {got_to}; going on"
        )
    push.store, removed = push.store.begin("push", push.release.digest, push.deadline, archive=content)
    if removed:
        push.report(StepFinished("clean up", 0.0, f"removed {', '.join(removed)}"))
    return content


def publish(push: Push, state: HostState, plan: Plan, content: bytes | None) -> int:
    """Bring the files and secrets that the host lacks to their places; how many bytes had to travel."""
    if not plan.publish:
        return 0
    archive, sent = None, 0
    if content is not None:
        with step("upload", push.report) as running:
            archive, sent = push.store.upload(content, push.deadline)
            before = f", {len(content) - sent} were there" if sent < len(content) else ""
            running.detail = f"{len(plan.uploads)} files, {sent} bytes{before}"
    if state.secret_problems:
        with step("secrets", push.report) as running:
            push.store.keep_secrets(
                push.settings.secrets, push.release.secrets, state.secret_problems, push.deadline
            )
            running.detail = f"{len(state.secret_problems)} written"
    with step("publish", push.report):
        push.store.publish(push.release, archive, push.deadline)
    return sent

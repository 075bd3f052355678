"""One change of a host, a push or a rollback: what all of its steps share."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.events import Report, StepFinished, StepStarted, WarningGiven
from provisioning.host.docker_commands import Project
from provisioning.host.lock import Held, hold
from provisioning.host.store import Store
from provisioning.plan.observed import HostState
from provisioning.plan.plan import Plan, make_plan
from provisioning.redaction import Mask
from provisioning.release.manifest import Release
from provisioning.ssh import Connection


@dataclass(frozen=True)
class Context:
    """A push, whose release comes from the tree, or a rollback, whose release the host keeps."""

    what: str
    """`push` or `rollback`, as lock, journal and audit log name it."""
    settings: PushSettings
    release: Release
    store: Store
    deadline: Deadline
    report: Report
    warnings: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    """Monotonic clock, seconds."""

    @property
    def connection(self) -> Connection:
        """Return the connection to the host."""
        return self.store.connection

    @property
    def project(self) -> Project:
        """Return the compose project, run from the release's directory on the host."""
        return Project(self.store.project, self.store.root, self.release.digest)

    def warn(self, text: str) -> None:
        """Report something that does not stop the change."""
        self.warnings.append(text)
        self.report(WarningGiven(text))

    def lock(self) -> AbstractContextManager[Held]:
        """Hold the host's lock and leave one line in its audit log."""
        return hold(
            self.store,
            self.deadline,
            what=self.what,
            release=self.release.digest,
            wait_seconds=self.settings.lock_wait_seconds,
            report=self.report,
            mask=Mask.of(self.settings.secrets.values.values()),
        )

    def observe(self, before: Plan | None = None) -> tuple[HostState, Plan]:
        """Read the host and plan the change. The plan is reported unless it is the same as `before`."""
        name, started = "observe the host", time.monotonic()
        self.report(StepStarted(name))
        state = self.store.read_state(self.release, self.deadline)
        plan = make_plan(self.release, state)
        if plan != before:
            self.report(StepFinished(name, time.monotonic() - started, plan.summary))
        return state, plan

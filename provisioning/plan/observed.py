"""Observed state of a host: what a push or a rollback found there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioning.agent.store.journal_entry import JournalEntry
from provisioning.release.manifest import Release


@dataclass(frozen=True)
class Container:
    """A container of the project, as the host's Docker shows it."""

    id: str
    service: str
    digest: str
    image: str
    image_id: str
    state: str
    health: str
    """Empty for a container without a health check."""
    said: str = ""
    """The last line of its health check, or its exit status."""

    @property
    def healthy(self) -> bool:
        """Return whether it runs and its health check, if it has one, passes."""
        return self.state == "running" and self.health in ("", "healthy")


@dataclass(frozen=True)
class LiveData:
    """Live data on the host: a service reloads it on a signal."""

    digest: str
    """Digest of the data to which its link points."""
    in_force: str
    """Digest of the data that the service confirmed to have loaded; empty when that is not known."""
    problems: tuple[str, ...] = ()
    """Files that are missing, changed or added."""


@dataclass(frozen=True)
class SplitInForce:
    """A runtime traffic split, which replaces the pushed one. Weights as `90/10`."""

    weights: str
    pushed: str
    since: str
    by: str

    def __str__(self) -> str:
        return f"split {self.pushed} pushed, {self.weights} active since {self.since}, set by {self.by}"


@dataclass(frozen=True)
class HostState:
    """Observed state of a host, compared with one desired release (or with the current one)."""

    current: str | None = None
    """Digest of the release that `current` points to."""
    current_release: Release | None = None
    """None where nothing was pushed, and where its manifest is gone."""
    present: bool = False
    """Whether the desired release has a directory on the host."""
    problems: tuple[str, ...] = ()
    """Files of the desired release that are missing, changed or added on the host."""
    data_problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Digest of a data directory of the desired release -> what is wrong with its copy on the host."""
    secret_problems: Mapping[str, str] = field(default_factory=dict)
    """Keyed hash of a secret of the desired release -> what is wrong with its file on the host."""
    leftovers: tuple[str, ...] = ()
    """Paths below the store of partial files that an interrupted change left."""
    unfinished: JournalEntry | None = None
    """The journal's line of a change that began and did not end, with the last `step` that it began."""
    live: Mapping[str, LiveData] = field(default_factory=dict)
    """Variable -> its live data."""
    needed: frozenset[str] = frozenset()
    """SHA-256 of files of the desired release of which the host has no copy."""
    containers: tuple[Container, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    """name:tag -> image id."""
    image_bytes: Mapping[str, int] = field(default_factory=dict)
    """name:tag -> size."""
    builds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Service -> build digest -> name:tag of the image that was made from it."""
    holder: str = ""
    """The lock holder; empty for none."""
    journal: JournalEntry | None = None
    """The last journal entry of a successful change."""
    measured: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Service -> seconds without answer that its last recreations took, as the journal has them."""
    split_in_force: SplitInForce | None = None
    """None while the pushed split is active, and where the services do not tell."""
    can_carry_out: bool = True
    """Whether the docker command is installed: a change needs it, a read does not."""
    free_bytes: int = 0

    def container(self, service: str) -> Container | None:
        """Return the container of a service, a running one first."""
        own = [container for container in self.containers if container.service == service]
        return min(own, key=lambda container: container.state != "running", default=None)

"""Observed state of a host: what a push or a rollback found there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
        """Whether it runs and its health check, if it has one, passes."""
        return self.state == "running" and self.health in ("", "healthy")


@dataclass(frozen=True)
class LiveData:
    """Data on the host that a service reads anew on a signal."""

    digest: str
    """What its link points to."""
    in_force: str
    """What the service is known to have read; empty when nobody knows."""
    problems: tuple[str, ...] = ()
    """Files that are missing, changed or added."""


@dataclass(frozen=True)
class SplitInForce:
    """A split of the users that was set at run time, in place of the pushed one. Weights as `90/10`."""

    weights: str
    pushed: str
    since: str
    by: str

    def __str__(self) -> str:
        return f"split {self.pushed} pushed, {self.weights} in force since {self.since}, set by {self.by}"


@dataclass(frozen=True)
class HostState:
    """What is on a host, seen from one wanted release (or from the current one)."""

    current: str | None = None
    """Digest of the release that `current` points to."""
    current_release: Release | None = None
    """None where nothing was pushed, and where its manifest is gone."""
    present: bool = False
    """Whether the wanted release has a directory on the host."""
    problems: tuple[str, ...] = ()
    """Files of the wanted release that are missing, changed or added on the host."""
    data_problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Digest of a wanted data directory -> what is wrong with the copy on the host."""
    secret_problems: Mapping[str, str] = field(default_factory=dict)
    """Keyed hash of a wanted secret -> what is wrong with its file on the host."""
    leftovers: tuple[str, ...] = ()
    """Half-made things below the root that a push which was broken off left."""
    unfinished: Mapping[str, Any] | None = None
    """The journal's line of a push that began and did not end, with the `step` that it got to."""
    live: Mapping[str, LiveData] = field(default_factory=dict)
    """Variable -> the data behind it that a service reads anew on a signal."""
    needed: frozenset[str] = frozenset()
    """SHA-256 of wanted files that are nowhere on the host."""
    containers: tuple[Container, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    """name:tag -> image id."""
    image_bytes: Mapping[str, int] = field(default_factory=dict)
    """name:tag -> size."""
    builds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Service -> build digest -> name:tag of the image that was made from it."""
    holder: str = ""
    """Who pushes right now."""
    journal: Mapping[str, Any] | None = None
    """The last journal entry of a push that ended well."""
    measured: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Service -> seconds without answer that its last recreations took, as the journal has them."""
    split_in_force: SplitInForce | None = None
    """None while the pushed one is in force, or nothing is known."""
    can_carry_out: bool = True
    """Whether the docker command is there: a look can do without it, what changes the host cannot."""
    free_bytes: int = 0

    def container(self, service: str) -> Container | None:
        """The container of a service, a running one first."""
        own = [container for container in self.containers if container.service == service]
        return min(own, key=lambda container: container.state != "running", default=None)

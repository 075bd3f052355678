"""Requests that read the host and change nothing, and their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from provisioning.agent.protocol import Request
from provisioning.agent.store.journal_entry import JournalEntry


@dataclass(frozen=True)
class ContainerFacts:
    """A container of the project, as Docker shows it. `health` is empty for one without a health check."""

    id: str
    service: str
    digest: str
    image: str
    image_id: str
    state: str
    health: str
    said: str


@dataclass(frozen=True)
class LiveDataFacts:
    """Data of a service that reloads: the digest its link points to, and the one the service confirmed."""

    digest: str
    in_force: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class RuntimeSplit:
    """A traffic split that was set at run time. Weights as `90/10`."""

    weights: str
    pushed: str
    since: str
    by: str


@dataclass(frozen=True)
class Facts:
    """The observed state of a host, seen from one manifest. With `only_containers` the rest has its defaults."""

    containers: tuple[ContainerFacts, ...]
    current: Optional[str] = None
    current_manifest: Optional[dict[str, Any]] = None
    present: bool = False
    problems: tuple[str, ...] = ()
    data_problems: dict[str, tuple[str, ...]] = field(default_factory=dict)
    secret_problems: dict[str, str] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    unfinished: Optional[JournalEntry] = None
    live: dict[str, LiveDataFacts] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    """SHA-256 of wanted files that are nowhere on the host."""
    images: dict[str, str] = field(default_factory=dict)
    image_bytes: dict[str, int] = field(default_factory=dict)
    builds: dict[str, dict[str, str]] = field(default_factory=dict)
    """Service -> build digest -> name:tag."""
    holder: str = ""
    journal: Optional[JournalEntry] = None
    """The last successful push or rollback."""
    measured: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Service -> seconds of its last five recreations, the newest last."""
    split_in_force: Optional[RuntimeSplit] = None
    can_carry_out: bool = False
    """Whether the docker command is there."""
    free_bytes: int = 0


@dataclass(frozen=True)
class ReadFacts(Request[Facts]):
    """Read the observed state. Without a manifest it is seen from the current release's."""

    root: str
    project: str
    manifest: Optional[dict[str, Any]] = None
    only_containers: bool = False


@dataclass(frozen=True)
class FileContents:
    """Path -> base64 of the content; None for a file that is absent, leads elsewhere or is above the limit."""

    files: dict[str, Optional[str]]


@dataclass(frozen=True)
class ReadFiles(Request[FileContents]):
    """Read files in a directory below the root. `limit` is in bytes per file."""

    root: str
    directory: str
    paths: tuple[str, ...]
    limit: int


@dataclass(frozen=True)
class Readiness:
    """What a host needs to take a release. `cloud_init` is absent, running, failed or done."""

    cloud_init: str
    cloud_init_error: str
    warnings: tuple[str, ...]
    docker_cli: bool
    docker: str
    """Version of the daemon; empty when it does not answer."""
    daemon_error: str
    compose: str
    root_writable: bool
    free_bytes: int


@dataclass(frozen=True)
class ReadReadiness(Request[Readiness]):
    """Read whether the host is ready. `run_dir` is cloud-init's run directory."""

    run_dir: str
    root: str


@dataclass(frozen=True)
class StoredRelease:
    """A release in the store: its manifest as JSON (None: it is not JSON), and when that was written (ISO 8601)."""

    manifest: Any
    written: str


@dataclass(frozen=True)
class Served:
    """A successful push or rollback in the audit log. Fields are empty where the log lacks them."""

    at: str = ""
    who: str = ""
    what: str = ""
    release: str = ""


@dataclass(frozen=True)
class Releases:
    """The release store. `now` is the host's clock in seconds; `past` are digests that were pruned."""

    now: float
    current: Optional[str]
    previous: Optional[str]
    kept: dict[str, StoredRelease]
    served: tuple[Served, ...]
    past: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True)
class ReadReleases(Request[Releases]):
    """Read the release store, and what the logs know of pruned releases."""

    root: str


@dataclass(frozen=True)
class SecretValues:
    """Values of all secrets on the host."""

    values: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class ReadSecretValues(Request[SecretValues]):
    """Read the values of all secrets, to redact them. They leave the host in the answer only."""

    root: str


@dataclass(frozen=True)
class ContainerUsage:
    """What a container uses; None where it is unknown.

    `memory` is in bytes without the page cache that can be dropped at once. `started` is as Docker writes it.
    """

    memory: Optional[int] = None
    memory_limit: Optional[int] = None
    restarts: int = 0
    started: Optional[str] = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """Container id -> its usage; the host's clock in seconds; free and total bytes of the disk."""

    containers: dict[str, ContainerUsage]
    now: float
    free: int
    total: int


@dataclass(frozen=True)
class ReadUsage(Request[Usage]):
    """Read what the project's containers use, and these values of their environment."""

    root: str
    project: str
    names: tuple[str, ...]

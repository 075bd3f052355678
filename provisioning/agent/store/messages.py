"""Requests that change the release store or the logs beside it, and their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from provisioning.agent.protocol import Request
from provisioning.agent.store.journal_entry import JournalEntry, JournalStep
from provisioning.agent.store.manifest import FileEntry


@dataclass(frozen=True)
class Done:
    """The request succeeded."""


@dataclass(frozen=True)
class Removed:
    """What was removed, as text."""

    removed: tuple[str, ...]


@dataclass(frozen=True)
class Begin(Request[Removed]):
    """Journal the begin of a push or rollback, and remove leftovers of interrupted ones.

    `keep` is the path of the archive to come: a part of it is kept. Only for the holder of the lock.
    """

    root: str
    entry: JournalEntry
    keep: Optional[str]


@dataclass(frozen=True)
class ReceiveFile(Request[None]):
    """Receive a file on standard input, resume an earlier attempt, and rename it into place.

    Prints `Offer` as a line of JSON; then the first line of input is the offset to continue at. Ends with
    DISK_FULL, or INCOMPLETE when the input ended early: the part stays for the next attempt.
    """

    path: str
    part: str
    sha256: str
    size: int
    mode: int
    root: str = ""
    journal: Optional[JournalStep] = None


@dataclass(frozen=True)
class Offer:
    """What the host has of a file: bytes, SHA-256 of them, and free bytes on its disk."""

    offset: int
    sha256: str
    free: int


@dataclass(frozen=True)
class Publish(Request[Done]):
    """Create or repair the directories of a release and of its data, each file verified, each directory atomic.

    Content comes from the archive (members named by SHA-256) or from other releases. Ends with DISK_FULL.
    """

    root: str
    journal: Optional[JournalStep]
    manifest: dict[str, Any]
    archive: Optional[str]


@dataclass(frozen=True)
class SwitchLiveData(Request[Done]):
    """Switch the data of a service that reloads to a digest, by one rename."""

    root: str
    journal: Optional[JournalStep]
    variable: str
    digest: str
    files: tuple[FileEntry, ...]


@dataclass(frozen=True)
class ConfirmLiveData(Request[Done]):
    """Record that the service has loaded the data."""

    root: str
    journal: Optional[JournalStep]
    variable: str
    digest: str


@dataclass(frozen=True)
class SecretFile:
    """A secret to write. `digest` is the keyed hash of its value, `owner` the user of its service."""

    digest: str
    name: str
    owner: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class WriteSecrets(Request[Done]):
    """Write secrets as files of mode 0400, each owned by the user of its service."""

    root: str
    journal: Optional[JournalStep]
    secrets: tuple[SecretFile, ...]


@dataclass(frozen=True)
class Finish(Request[Removed]):
    """Point `current` to a release (unless None), journal the result, and prune (`keep` 0: do not)."""

    root: str
    project: str
    entry: JournalEntry
    switch_to: Optional[str]
    keep: int


@dataclass(frozen=True)
class AppendAudit(Request[Done]):
    """Append a line to the audit log."""

    root: str
    who: str
    what: str
    result: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class AuditLine:
    """A line of the audit log. Fields that another version did not write are empty."""

    at: str = ""
    who: str = ""
    came_from: str = ""
    """The address that the host saw; stored as `from`."""
    what: str = ""
    release: str = ""
    result: str = ""
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class AuditLines:
    """The last entries, the number of lines, and the numbers of lines that do not follow the line before them."""

    entries: tuple[AuditLine, ...]
    lines: int
    broken: tuple[int, ...]


@dataclass(frozen=True)
class ReadAudit(Request[AuditLines]):
    """Read the last lines of the audit log, and verify its hash chain."""

    root: str
    tail: int

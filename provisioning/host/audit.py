"""The audit log of a host: who did what there, in order, and whether somebody changed the log itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.events import silent
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.identity import whoami
from provisioning.ssh import connect

LONGEST_DETAIL = 300


@dataclass(frozen=True)
class AuditEntry:
    """One thing that somebody did. `came_from` is the address that the host saw; `detail` may be empty."""

    at: str
    who: str
    came_from: str
    what: str
    release: str
    result: str
    seconds: float
    detail: str


@dataclass(frozen=True)
class AuditLog:
    """The last entries, the oldest first. `broken` are numbers of lines that were changed or follow a gap."""

    entries: tuple[AuditEntry, ...]
    lines: int
    broken: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """What a reader of `--json` gets."""
        return asdict(self)


def read_audit(
    settings: PushSettings, tail: int = 50, deadline_seconds: float = 30, *, connector: Connector = connect
) -> AuditLog:
    """The last `tail` entries of a host's audit log. Changes nothing. Raises ProvisioningError."""
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        request = {"root": store.root, "entry": None, "tail": tail}
        return parse_audit(store.ask("audit.py", request, deadline))


def write_audit(
    store: Store, deadline: Deadline, *, what: str, result: str, seconds: float, detail: str = ""
) -> None:
    """Add a line in our name to a host's audit log."""
    entry = {
        "who": whoami(),
        "what": what,
        "result": result,
        "seconds": round(seconds, 1),
        "detail": detail[:LONGEST_DETAIL],
    }
    store.ask("audit.py", {"root": store.root, "entry": entry, "tail": 0}, deadline)


def parse_audit(answer: dict[str, Any]) -> AuditLog:
    """Pure: the log in the answer of `audit.py`."""
    entries = tuple(
        AuditEntry(
            at=str(entry.get("at", "")),
            who=str(entry.get("who", "")),
            came_from=str(entry.get("from", "")),
            what=str(entry.get("what", "")),
            release=str(entry.get("release", "")),
            result=str(entry.get("result", "")),
            seconds=float(entry.get("seconds", 0)),
            detail=str(entry.get("detail", "")),
        )
        for entry in answer["entries"]
    )
    return AuditLog(entries, answer["lines"], tuple(answer["broken"]))

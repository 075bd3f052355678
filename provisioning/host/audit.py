"""The audit log of a host: who changed what, in order, with a hash chain that reveals tampering."""

from __future__ import annotations

from provisioning.agent.store.messages import AppendAudit, AuditLines, ReadAudit
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.events import silent
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.identity import whoami
from provisioning.ssh import connect

LONGEST_DETAIL = 300


def read_audit(
    settings: PushSettings, tail: int = 50, deadline_seconds: float = 30, *, connector: Connector = connect
) -> AuditLines:
    """Return the last `tail` entries of a host's audit log. Raises ProvisioningError."""
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        return store.call(ReadAudit(store.root, tail), deadline)


def write_audit(
    store: Store, deadline: Deadline, *, what: str, result: str, seconds: float, detail: str = ""
) -> None:
    """Append a line to a host's audit log, with this user's name."""
    entry = AppendAudit(store.root, whoami(), what, result, round(seconds, 1), detail[:LONGEST_DETAIL])
    store.call(entry, deadline)

"""Rotate the host key: create the host's own key, pin it, and remove the injected one.

The injected host key, which came with the user-data, serves the first connection only: other readers of the
user-data may know its private half. That of the own key never leaves the host.
"""

from __future__ import annotations

from dataclasses import replace

from provisioning.agent.host_key.messages import CreateHostKey, ScrubInjectedHostKey, SwitchHostKey
from provisioning.config.settings import Target
from provisioning.deadline import Deadline
from provisioning.events import Report, silent, step
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host_errors import HostError
from provisioning.ssh import Connection, connect

_STEP_SECONDS = 60.0


def make_host_key(
    target: Target, deadline_seconds: float = 600, report: Report = silent, *, root: str = "/"
) -> str:
    """Return the public half (`ssh-ed25519 AAAA…`) of the host's own key; create the key where there is none.

    Waits for a host that is still booting. Idempotent. Does not change the key that sshd presents.
    """
    with wait_for_login(target, Deadline(deadline_seconds), report) as connection:
        key = connection.call(
            CreateHostKey(root), deadline=_STEP_SECONDS, step="creating the host key", sudo=True
        ).text
    if not key.startswith("ssh-ed25519 "):
        raise HostError(f"{target.address} did not create a host key: {key[:80]!r}")
    return key


def seal_host_key(
    target: Target,
    deadline: Deadline,
    report: Report,
    *,
    injected_key: str,
    connector: Connector = connect,
    root: str = "/",
) -> Connection:
    """Make the one key of `target` the only one that the host presents, and remove `injected_key` from the host.

    Returns a connection that trusts only the host's own key; it is opened before anything is removed. The removal
    waits for the end of the first boot, because cloud-init writes its caches until then. Idempotent, also after a
    crash at any point. Raises HostKeyMismatch when sshd does not present the host's own key.
    """
    both = tuple(dict.fromkeys((*target.host_keys, injected_key)))
    with wait_for_login(replace(target, host_keys=both), deadline, report, connector=connector) as first:
        first.call(SwitchHostKey(root), deadline=_STEP_SECONDS, step="switching the host key", sudo=True)
    # systemctl returns before the reload is complete, so sshd may present the old key a little longer.
    connection = wait_for_login(target, deadline, report, connector=connector, key_change_seconds=15)
    try:
        with step("remove the injected host key", report):
            seconds = deadline.check("removing the injected host key")
            connection.call(
                ScrubInjectedHostKey(root, seconds),
                deadline=seconds + 15,
                step="removing the injected host key",
                sudo=True,
            )
    except BaseException:
        connection.close()
        raise
    return connection

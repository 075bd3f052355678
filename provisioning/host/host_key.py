"""The host's own key: made on the host, pinned over a trusted connection, and then the only one it shows.

The key that came with the user-data serves the first contact only. Other readers of the user-data
may know its private half; nobody but the host ever has that of the second.
"""

from __future__ import annotations

from dataclasses import replace

from provisioning.config.settings import Target
from provisioning.deadline import Deadline
from provisioning.events import Report, silent, step
from provisioning.host.readiness import wait_for_login
from provisioning.host_errors import HostError

_STEP_SECONDS = 60.0


def make_host_key(
    target: Target, deadline_seconds: float = 600, report: Report = silent, *, root: str = "/"
) -> str:
    """The public half (`ssh-ed25519 AAAA…`) of the host's own key, which is made where there is none.

    Waits for a host that is still booting. Idempotent. sshd goes on showing the key it showed before.
    """
    with wait_for_login(target, Deadline(deadline_seconds), report) as connection:
        done = connection.run_script(
            "create.py", root, deadline=_STEP_SECONDS, step="making the host key", sudo=True
        )
    words = done.stdout.split()
    if len(words) != 2 or words[0] != "ssh-ed25519":
        raise HostError(f"{target.address} did not make a host key: {done.stdout[:80]!r}")
    return " ".join(words)


def seal_host_key(
    target: Target,
    own_key: str,
    deadline_seconds: float = 600,
    report: Report = silent,
    *,
    root: str = "/",
) -> None:
    """Make `own_key` the only key that the host shows, and remove the one that was given to it.

    Proved by a connection that trusts nothing but `own_key` before anything is removed. The removal waits
    for the first boot to end, since cloud-init writes its caches until then. Idempotent, and can be called
    again after a crash at any point. Raises HostKeyMismatch when the proof fails.
    """
    deadline = Deadline(deadline_seconds)
    both = tuple(dict.fromkeys((own_key, *target.host_keys)))[:2]
    with wait_for_login(replace(target, host_keys=both), deadline, report) as connection:
        connection.run_script(
            "switch.py", root, deadline=_STEP_SECONDS, step="switching the host key", sudo=True
        )
    # The reload is not done when systemctl returns: the old key may be shown for a moment more.
    sealed = replace(target, host_keys=(own_key,))
    with (
        wait_for_login(sealed, deadline, report, key_change_seconds=15) as connection,
        step("remove the first host key", report),
    ):
        seconds = deadline.check("removing the first host key")
        connection.run_script(
            "scrub.py",
            root,
            str(seconds),
            deadline=seconds + 15,
            step="removing the first host key",
            sudo=True,
        )

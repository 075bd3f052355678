"""What can go wrong between this machine and the host.

ProvisioningError
├── SettingsError            a value given to us cannot be used (exit 2)
├── ReleaseError             the project tree cannot become a release
├── StackError               the stack's outputs cannot be read
├── DeadlinePassed           the time given for the whole thing is over
├── NotReady                 a rung of the ready ladder was not reached
├── HostError                the connection or the host's side of it
│   ├── UnknownHost          its name has no address
│   ├── Unreachable          no TCP connection
│   ├── NoBanner             TCP is up, SSH is not speaking yet
│   ├── AlgorithmsTooWeak    SSH there offers nothing that is still safe
│   ├── HostKeyMismatch      the host shows a key that is not trusted
│   ├── AuthFailed           the host does not accept our key
│   ├── ConnectionLost       the host stopped answering in the middle
│   ├── ShellFailed          the user's login shell did not run the command
│   ├── CommandFailed        a remote command ended with another status than 0
│   ├── DiskFull             the host has not the room that is needed, found before it was used up
│   └── UploadFailed         what arrived on the host is not what was sent
├── ServiceFailure           one service did not come up, or answers wrongly; a push turns it into:
├── PlanRefused              a plan no longer is what a push would do
├── UnhealthyRelease         services of the release did not become healthy (exit 3)
├── HostMoved                the host is no longer as a plan showed it
├── Locked                   somebody else is pushing (exit 4)
└── LockBroken               somebody took the lock away from us (exit 4)
"""

from __future__ import annotations

from typing import ClassVar


class ProvisioningError(Exception):
    """One clear sentence in `str()`, what to do next in `hint`, facts as attributes."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(ProvisioningError):
    """A value given to us cannot be used; `field` names it."""

    exit_code = 2

    def __init__(self, field: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class ReleaseError(ProvisioningError):
    """The project tree cannot become a release."""


class StackError(ProvisioningError):
    """The stack's outputs cannot be read."""


class DeadlinePassed(ProvisioningError):
    """The time for the whole thing is over; `step` is what was going on."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(
            f"{step} was not done within {seconds:.0f} seconds",
            hint="Run the same command again: finished steps are not repeated.",
        )
        self.step = step
        self.seconds = seconds


class NotReady(ProvisioningError):
    """A rung of the ready ladder was not reached; `step` names it."""

    def __init__(self, step: str, waited: float, reason: str, *, hint: str = "") -> None:
        super().__init__(f"the host is not ready: {step}: {reason} (waited {waited:.0f} s)", hint=hint)
        self.step = step
        self.waited = waited
        self.reason = reason


class HostError(ProvisioningError):
    """The connection to the host, or what the host does with it."""


class UnknownHost(HostError):
    """The host's name has no address."""

    def __init__(self, address: str, host: str) -> None:
        super().__init__(
            f"{address} cannot be reached: the name {host} has no address",
            hint="Check the name, and this machine's DNS.",
        )
        self.address = address
        self.host = host


class Unreachable(HostError):
    """No TCP connection to the host."""

    def __init__(self, address: str, reason: str, *, hint: str = "") -> None:
        super().__init__(
            f"{address} cannot be reached: {reason}",
            hint=hint or "Check that the instance runs and that port 22 is open for this machine's address.",
        )
        self.address = address
        self.reason = reason


class NoBanner(HostError):
    """The TCP connection is up, but SSH is not speaking yet."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"SSH at {address} does not answer yet: {reason}", hint="sshd may still be starting."
        )
        self.address = address
        self.reason = reason


class AlgorithmsTooWeak(HostError):
    """SSH at the host offers nothing that is still safe; `kind` is what there was no agreement on."""

    def __init__(self, address: str, kind: str) -> None:
        super().__init__(
            f"SSH at {address} offers only algorithms that are no longer safe ({kind})",
            hint="Update sshd there, or remove the lines that restrict it from its sshd_config.",
        )
        self.address = address
        self.kind = kind


class HostKeyMismatch(HostError):
    """The host shows a key that is not trusted; nothing was sent to it."""

    def __init__(self, address: str, found: str, trusted: tuple[str, ...]) -> None:
        super().__init__(
            f"the host key of {address} is {found}, but the stack trusts only {' or '.join(trusted)}; "
            "nothing was sent",
            hint="If the host was replaced on purpose, run `pulumi up`. If not, somebody else answers at "
            "this address: find out who before going on.",
        )
        self.address = address
        self.found = found
        self.trusted = trusted


class AuthFailed(HostError):
    """The host does not accept our key for this user."""

    def __init__(self, address: str, user: str, key_file: str, reason: str = "") -> None:
        tail = f": {reason}" if reason else ""
        super().__init__(
            f"{user}@{address} does not accept the key {key_file}{tail}",
            hint="Check that this is the private half of the key pair that the instance was started with.",
        )
        self.address = address
        self.user = user
        self.key_file = key_file


class ConnectionLost(HostError):
    """The host stopped answering in the middle of something."""

    def __init__(self, address: str, step: str) -> None:
        super().__init__(
            f"the connection to {address} was lost during: {step}",
            hint="Run the same command again: finished steps are not repeated.",
        )
        self.address = address
        self.step = step


class ShellFailed(HostError):
    """The user's login shell ended before it ran the command; `said` is what it printed instead."""

    def __init__(self, address: str, step: str, said: str) -> None:
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(
            f"the login shell at {address} did not run the command for: {step}: {last[0][:200]}",
            hint="The user needs a shell (not nologin) whose start-up files do not end it.",
        )
        self.address = address
        self.step = step
        self.said = said


class CommandFailed(HostError):
    """A remote command ended with another status than 0; `output` is the end of what it said."""

    def __init__(self, command: str, status: int, output: str, *, hint: str = "") -> None:
        last = output.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"{command} failed on the host with status {status}: {last[0]}", hint=hint)
        self.command = command
        self.status = status
        self.output = output


class DiskFull(HostError):
    """The host has not the room that is needed; nothing was written. `needed` and `free` are bytes."""

    def __init__(self, needed: int, free: int, what: str) -> None:
        super().__init__(
            f"{what} needs {_mib(needed)} on the host's disk, and {_mib(free)} are free",
            hint="Run `docker system prune` on the host, or give it a larger volume (onebox:volumeSizeGb).",
        )
        self.needed = needed
        self.free = free


class UploadFailed(HostError):
    """What arrived on the host is not what was sent, or did not arrive whole."""

    def __init__(self, path: str, reason: str, *, hint: str = "Run the same command again.") -> None:
        super().__init__(f"{path} did not arrive on the host: {reason}", hint=hint)
        self.path = path
        self.reason = reason


class ServiceFailure(ProvisioningError):
    """One service did not come up, or answers wrongly."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


class PlanRefused(ProvisioningError):
    """The plan that was given is not what a push would do now; `reason` says why. Nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the plan is refused: {reason}; nothing was changed",
            hint="Make a new one with `onebox plan --out FILE`, read it, and push with that.",
        )
        self.reason = reason


class HostMoved(ProvisioningError):
    """The host is no longer as it was when the plan was shown. Nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the host is no longer as the plan showed it: {reason}; nothing was changed",
            hint="Run the same command again and read the new plan.",
        )
        self.reason = reason


class UnhealthyRelease(ProvisioningError):
    """Services of the release did not become healthy. `restored` is the release serving now, if any."""

    exit_code = 3

    def __init__(
        self, service: str, reason: str, *, log_tail: tuple[str, ...], restored: str | None, outcome: str
    ) -> None:
        super().__init__(
            f"{service} of the new release is not healthy: {reason}; {outcome}",
            hint=f"Read the log lines below, or run `onebox logs {service}`.",
        )
        self.service = service
        self.reason = reason
        self.log_tail = log_tail
        self.restored = restored
        self.outcome = outcome


class Locked(ProvisioningError):
    """Somebody else is pushing to this host; `holder` says who and since when."""

    exit_code = 4

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"another push holds this host: {holder}",
            hint="Wait for it to end. The lock is freed by itself when that push ends or its machine goes away.",
        )
        self.holder = holder


class LockBroken(ProvisioningError):
    """Somebody broke the lock while we held it; `by` says who."""

    exit_code = 4

    def __init__(self, by: str, doing: str) -> None:
        super().__init__(
            f"the lock was broken by {by} during the {doing}; nothing more was done",
            hint="Run the same command again when they are done: finished steps are not repeated.",
        )
        self.by = by


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"

"""What can go wrong between this machine and the host.

ProvisioningError
├── SettingsError            a value given to us cannot be used (exit 2)
├── ReleaseError             the project tree cannot become a release
├── StackError               the stack's outputs cannot be read
├── DeadlinePassed           the time given for the whole thing is over
├── NotReady                 a rung of the ready ladder was not reached
├── HostError                the connection or the host's side of it
│   ├── Unreachable          no TCP connection
│   ├── NoBanner             TCP is up, SSH is not speaking yet
│   ├── HostKeyMismatch      the host shows a key that is not trusted
│   ├── AuthFailed           the host does not accept our key
│   ├── ConnectionLost       the host stopped answering in the middle
│   ├── CommandFailed        a remote command ended with another status than 0
│   ├── BuildFailed          an image cannot be built from the release
│   └── UploadFailed         what arrived on the host is not what was sent
├── ServiceFailure           one service did not come up, or answers wrongly; a push turns it into:
├── UnhealthyRelease         services of the release did not become healthy (exit 3)
└── Locked                   somebody else is pushing (exit 4)
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


class Unreachable(HostError):
    """No TCP connection to the host."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"{address} cannot be reached: {reason}",
            hint="Check that the instance runs and that port 22 is open for this machine's address.",
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


class CommandFailed(HostError):
    """A remote command ended with another status than 0; `output` is the end of what it said."""

    def __init__(self, command: str, status: int, output: str, *, hint: str = "") -> None:
        last = output.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"{command} failed on the host with status {status}: {last[0]}", hint=hint)
        self.command = command
        self.status = status
        self.output = output


class BuildFailed(HostError):
    """An image cannot be built; nothing that serves was touched. `log_tail` is what the failed command printed."""

    def __init__(self, services: tuple[str, ...], log_tail: tuple[str, ...], log: str) -> None:
        super().__init__(
            f"the image of {' or '.join(services)} cannot be built: {log_tail[-1] if log_tail else 'no reason given'}",
            hint=f"What served before still serves. The whole log is {log} on the host.",
        )
        self.services = services
        self.log_tail = log_tail
        self.log = log


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

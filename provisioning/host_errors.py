"""Errors of the connection and of the host: the branch HostError of the tree in errors.py."""

from __future__ import annotations

from provisioning.errors import ProvisioningError


class HostError(ProvisioningError):
    """The connection to the host, or an operation on the host, failed."""


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
    """The TCP connection is up, but sshd sends no banner yet."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"SSH at {address} does not respond yet: {reason}", hint="sshd may still be starting."
        )
        self.address = address
        self.reason = reason


class AlgorithmsTooWeak(HostError):
    """sshd offers only algorithms that are no longer safe; `kind` is the kind of algorithm."""

    def __init__(self, address: str, kind: str) -> None:
        super().__init__(
            f"SSH at {address} offers only algorithms that are no longer safe ({kind})",
            hint="Update sshd on the host, or remove the lines of its sshd_config that restrict the algorithms.",
        )
        self.address = address
        self.kind = kind


class HostKeyMismatch(HostError):
    """The host presents a key that is not trusted; nothing was sent to it."""

    def __init__(self, address: str, found: str, trusted: tuple[str, ...]) -> None:
        super().__init__(
            f"the host key of {address} is {found}, but the stack trusts only {' or '.join(trusted)}; "
            "nothing was sent",
            hint="If the host was replaced on purpose, run `pulumi up`. If not, another machine responds at "
            "this address: find out which before you continue.",
        )
        self.address = address
        self.found = found
        self.trusted = trusted


class AuthFailed(HostError):
    """The host rejects the login key for this user."""

    def __init__(self, address: str, user: str, key_file: str, reason: str = "") -> None:
        tail = f": {reason}" if reason else ""
        super().__init__(
            f"{user}@{address} does not accept the key {key_file}{tail}",
            hint="Check that this is the private key of the key pair that the instance was created with.",
        )
        self.address = address
        self.user = user
        self.key_file = key_file


class ConnectionLost(HostError):
    """The host stopped responding during `step`."""

    def __init__(self, address: str, step: str) -> None:
        super().__init__(
            f"the connection to {address} was lost during: {step}",
            hint="Run the same command again: finished steps are not repeated.",
        )
        self.address = address
        self.step = step


class ShellFailed(HostError):
    """The user's login shell ended before it ran the command; `said` is its output."""

    def __init__(self, address: str, step: str, said: str) -> None:
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(
            f"the login shell at {address} did not run the command for: {step}: {last[0][:200]}",
            hint="The login user needs a shell other than nologin, with start-up files that do not call `exit`.",
        )
        self.address = address
        self.step = step
        self.said = said


class CommandFailed(HostError):
    """A remote command returned a status other than 0; `output` is the end of its output."""

    def __init__(self, command: str, status: int, output: str, *, hint: str = "") -> None:
        last = output.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(
            f"{command} failed on the host with status {status}: {last[0]}",
            hint=hint
            or "Run `onebox doctor` for the first failed check, or `onebox ssh` for a shell on the host.",
        )
        self.command = command
        self.status = status
        self.output = output


class BuildFailed(HostError):
    """An image cannot be built; no container was touched. `log_tail` is the output of the failed command."""

    def __init__(self, services: tuple[str, ...], log_tail: tuple[str, ...], log: str) -> None:
        super().__init__(
            f"the image of {' or '.join(services)} cannot be built: {log_tail[-1] if log_tail else 'no reason given'}",
            hint=f"The previous release still serves. The whole log is {log} on the host.",
        )
        self.services = services
        self.log_tail = log_tail
        self.log = log


class DiskFull(HostError):
    """The disk of the host has too little free space; nothing was written. `needed` and `free` are bytes."""

    def __init__(self, needed: int, free: int, what: str) -> None:
        super().__init__(
            f"{what} needs {_mib(needed)} on the host's disk, but {_mib(free)} are free",
            hint="Run `docker system prune` on the host, or use a larger disk (onebox:volumeSizeGb).",
        )
        self.needed = needed
        self.free = free


class ManifestRefused(HostError):
    """The manifest of the release in the directory `release` cannot be used, for `reason`. Nothing was changed."""

    def __init__(self, release: str, reason: str, *, hint: str) -> None:
        super().__init__(
            f"the manifest of the release {release[:12]} on the host is refused: {reason}", hint=hint
        )
        self.release = release
        self.reason = reason


class UploadFailed(HostError):
    """An upload did not arrive on the host whole and unchanged."""

    def __init__(self, path: str, reason: str, *, hint: str = "Run the same command again.") -> None:
        super().__init__(f"{path} did not arrive on the host: {reason}", hint=hint)
        self.path = path
        self.reason = reason


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"

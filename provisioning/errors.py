"""Errors of a push and of the operations on a host.

ProvisioningError
├── SettingsError            a setting, argument or file has an invalid value (exit 2)
├── ReleaseError             the project tree cannot become a release
├── StackError               the stack's outputs cannot be read
├── DeadlinePassed           the whole operation did not end before its deadline
├── NotReady                 a readiness check of the host failed
├── HostError                the connection or an operation on the host failed (host_errors.py)
│   ├── UnknownHost          its name has no address
│   ├── Unreachable          no TCP connection
│   ├── NoBanner             TCP is up, sshd sends no banner yet
│   ├── AlgorithmsTooWeak    sshd offers only algorithms that are no longer safe
│   ├── HostKeyMismatch      the host presents a key that is not trusted
│   ├── AuthFailed           the host rejects the login key
│   ├── ConnectionLost       the host stopped responding during a step
│   ├── ShellFailed          the user's login shell did not run the command
│   ├── CommandFailed        a remote command returned a status other than 0
│   ├── BuildFailed          an image cannot be built from the release
│   ├── DiskFull             the disk of the host has too little free space; nothing was written
│   ├── ManifestRefused      the manifest of a release on the host is damaged, or newer than this version
│   └── UploadFailed         an upload did not arrive whole and unchanged
├── ServiceFailure           a service is not healthy or responds wrongly; a push turns it into UnhealthyRelease
├── PlanRefused              a push would do something else than the saved plan
├── TreeChanged              the tree is no longer the release that the preview showed
├── UnhealthyRelease         services of the release did not become healthy (exit 3)
├── RestoreFailed            a change of the host failed, and so did its undo
├── HostMoved                the host has changed since the plan was shown
├── Locked                   another push holds the lock (exit 4)
└── LockBroken               another user broke the lock of this push (exit 4)
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

_AFTER_A_FAILED_UNDO = (
    "`onebox status` shows what serves now; then push a tree that works, or run `onebox rollback` to a "
    "retained release."
)


class ExitCode(IntEnum):
    """Exit codes of the command `onebox`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """Invalid usage or value. `plan`: there is something to do."""
    UNHEALTHY = 3
    LOCKED = 4
    INTERRUPTED = 130


class ProvisioningError(Exception):
    """Root of the tree: one sentence in `str()`, the next step in `hint`, facts as attributes."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(ProvisioningError):
    """A setting, argument or file has an invalid value; `field` names it."""

    exit_code = ExitCode.USAGE

    def __init__(self, field: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class ReleaseError(ProvisioningError):
    """The project tree cannot become a release."""


class StackError(ProvisioningError):
    """The stack's outputs cannot be read."""


class DeadlinePassed(ProvisioningError):
    """The whole operation did not end before its deadline; `step` is the one that was running."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(
            f"{step} was not done within {seconds:.0f} seconds",
            hint="Run the same command again: finished steps are not repeated.",
        )
        self.step = step
        self.seconds = seconds


class NotReady(ProvisioningError):
    """A readiness check of the host failed; `step` names it."""

    def __init__(self, step: str, waited: float, reason: str, *, hint: str = "") -> None:
        super().__init__(f"the host is not ready: {step}: {reason} (waited {waited:.0f} s)", hint=hint)
        self.step = step
        self.waited = waited
        self.reason = reason


class ServiceFailure(ProvisioningError):
    """A service is not healthy, or responds wrongly."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


class PlanRefused(ProvisioningError):
    """A push would now do something else than the saved plan, for `reason`. Nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the plan is refused: {reason}; nothing was changed",
            hint="Make a new plan with `onebox plan --out FILE`, review it, and push it.",
        )
        self.reason = reason


class TreeChanged(ProvisioningError):
    """The tree is no longer the release that the preview showed. Nothing was changed."""

    def __init__(self, shown: str, found: str) -> None:
        super().__init__(
            f"the preview showed the release {shown[:12]}, but the tree is now {found[:12]}; nothing was changed",
            hint="Run `pulumi up` again: its preview shows the new release.",
        )


class HostMoved(ProvisioningError):
    """The host has changed since the plan was shown. Nothing was changed by this command."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the host has changed since the plan was shown: {reason}; nothing was changed",
            hint="Run the same command again and review the new plan.",
        )
        self.reason = reason


class UnhealthyRelease(ProvisioningError):
    """A service of the release did not become healthy. `restored` is the release that serves now, if any."""

    exit_code = ExitCode.UNHEALTHY

    def __init__(
        self,
        service: str,
        reason: str,
        *,
        log_tail: tuple[str, ...],
        restored: str | None,
        outcome: str,
        is_undone: bool = True,
    ) -> None:
        log = f"Read its log lines, or run `onebox logs {service}`."
        super().__init__(
            f"{service} of the new release is not healthy: {reason}; {outcome}",
            hint=log if is_undone else f"{log} {_AFTER_A_FAILED_UNDO}",
        )
        self.service = service
        self.reason = reason
        self.log_tail = log_tail
        self.restored = restored
        self.outcome = outcome


class RestoreFailed(ProvisioningError):
    """A change of the host failed with `first`, and its undo failed for the reason in `outcome`."""

    def __init__(self, first: ProvisioningError, outcome: str) -> None:
        super().__init__(f"{first}; {outcome}", hint=_AFTER_A_FAILED_UNDO)
        self.first = first
        self.outcome = outcome


class Locked(ProvisioningError):
    """Another push holds the lock of this host; `holder` is its user, action and start."""

    exit_code = ExitCode.LOCKED

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"another push holds the lock of this host: {holder}",
            hint="Wait, for example with --lock-wait: the lock ends with that push, or with its connection.",
        )
        self.holder = holder


class LockBroken(ProvisioningError):
    """The lock was broken while this process held it; `by` is the user."""

    exit_code = ExitCode.LOCKED

    def __init__(self, by: str, doing: str) -> None:
        super().__init__(
            f"the lock was broken by {by} during the {doing}; nothing more was changed",
            hint="Run the same command again when the other change is done: finished steps are not repeated.",
        )
        self.by = by

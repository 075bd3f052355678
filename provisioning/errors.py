"""What can go wrong between this machine and the host.

ProvisioningError
├── SettingsError            a value given to us cannot be used (exit 2)
├── ReleaseError             the project tree cannot become a release
├── StackError               the stack's outputs cannot be read
├── DeadlinePassed           the time given for the whole thing is over
├── NotReady                 a rung of the ready ladder was not reached
├── HostError                the connection or the host's side of it (host_errors.py)
│   ├── UnknownHost          its name has no address
│   ├── Unreachable          no TCP connection
│   ├── NoBanner             TCP is up, SSH is not speaking yet
│   ├── AlgorithmsTooWeak    SSH there offers nothing that is still safe
│   ├── HostKeyMismatch      the host shows a key that is not trusted
│   ├── AuthFailed           the host does not accept our key
│   ├── ConnectionLost       the host stopped answering in the middle
│   ├── ShellFailed          the user's login shell did not run the command
│   ├── CommandFailed        a remote command ended with another status than 0
│   ├── BuildFailed          an image cannot be built from the release
│   ├── DiskFull             the host has not the room that is needed, found before it was used up
│   ├── ManifestRefused      the manifest of a release there is damaged, or newer than this version
│   └── UploadFailed         what arrived on the host is not what was sent
├── ServiceFailure           one service did not come up, or answers wrongly; a push turns it into:
├── PlanRefused              a plan no longer is what a push would do
├── TreeChanged              the tree is no longer the release that a preview showed
├── UnhealthyRelease         services of the release did not become healthy (exit 3)
├── RestoreFailed        a change of the host failed, and so did its undo
├── HostMoved                the host is no longer as a plan showed it
├── Locked                   somebody else is pushing (exit 4)
└── LockBroken               somebody took the lock away from us (exit 4)
"""

from __future__ import annotations

from typing import ClassVar

_AFTER_A_FAILED_UNDO = (
    "`onebox status` shows what serves now; then push a tree that works, or run `onebox rollback` to a kept "
    "release."
)


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


class TreeChanged(ProvisioningError):
    """The tree is no longer the release that the preview showed. Nothing was changed."""

    def __init__(self, shown: str, found: str) -> None:
        super().__init__(
            f"the preview showed the release {shown[:12]}, and the tree now is {found[:12]}; nothing was changed",
            hint="Run `pulumi up` again: its preview shows the new release.",
        )


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
        self,
        service: str,
        reason: str,
        *,
        log_tail: tuple[str, ...],
        restored: str | None,
        outcome: str,
        is_undone: bool = True,
    ) -> None:
        log = f"Read the log lines below, or run `onebox logs {service}`."
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
    """A change of the host failed with `first`, and so did its undo; `outcome` says why."""

    def __init__(self, first: ProvisioningError, outcome: str) -> None:
        super().__init__(f"{first}; {outcome}", hint=_AFTER_A_FAILED_UNDO)
        self.first = first
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

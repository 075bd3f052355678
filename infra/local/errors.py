"""Errors of the local cloud.

LocalCloudError
├── DockerUnavailableError   no Docker engine answers, or not one that can hold instances
├── DockerFailedError        one Docker command failed
├── ImageUnavailableError    the base image can neither be pulled nor built
├── PortTakenError           another program listens on the port
├── NetworkConflictError     the cloud's network cannot have the configured subnet
├── StateUnreadableError     the saved state cannot be loaded, or is missing while instances remain
├── NotStartedError          the daemon did not start, or did not end
├── NotRunningError          the cloud is not running
└── BadSettingError          a setting is invalid
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class LocalCloudError(Exception):
    """Root of the tree: one sentence in `str()`, the next step in `hint`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class DockerUnavailableError(LocalCloudError):
    """No Docker engine answers, or it is of a kind that cannot hold instances."""


class DockerFailedError(LocalCloudError):
    """A Docker command ended with an error; `command`, `code` and `detail` (its last lines) identify it."""

    def __init__(self, argv: Sequence[str], code: int, detail: str) -> None:
        self.command = " ".join(argv[:2])
        self.code = code
        self.detail = detail.strip()[-500:]
        super().__init__(f"docker {self.command} failed with exit code {code}: {self.detail}")


class ImageUnavailableError(LocalCloudError):
    """An image can neither be pulled nor built on this machine."""


class PortTakenError(LocalCloudError):
    """Another program listens on `port`."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        super().__init__(
            f"Port {port} of {address} is in use by another program.",
            f"Find it with `ss -ltnp 'sport = :{port}'`, or choose another port with --port.",
        )


class NetworkConflictError(LocalCloudError):
    """The cloud's Docker network cannot have the configured subnet."""


class StateUnreadableError(LocalCloudError):
    """The saved state cannot be used."""


class NotStartedError(LocalCloudError):
    """The daemon did not reach the desired state in time."""


class NotRunningError(LocalCloudError):
    """The cloud `name` has no running daemon."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"The local cloud '{name}' is not running.",
            f"Start it: python -m infra.local start --name {name}",
        )


class BadSettingError(LocalCloudError):
    """A setting has an invalid value."""

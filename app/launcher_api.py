"""Interface between the service and the launcher, which keeps its sockets while new code takes over.

The launcher itself is not imported here: it keeps running while this code is replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEVELOPMENT = "dev"


class Launcher(Protocol):
    """The launcher as one generation of the service sees it."""

    @property
    def code(self) -> str:
        """Return the digest of the code that this generation runs."""
        ...

    @property
    def status(self) -> Path | None:
        """Return the file with the launcher's CodeView; None without a launcher."""
        ...

    @property
    def handed(self) -> Sequence[int]:
        """Return the previous generation's descriptors: lock of the state directory, then the listening sockets."""
        ...

    def holds(self, descriptors: Sequence[int], workers: int) -> None:
        """Pass on the descriptors for the next generation, and the number of workers that this one starts."""
        ...

    def up(self) -> None:
        """Report that a worker of this generation serves."""
        ...

    def failed(self, why: str) -> None:
        """Report that this generation, or a worker of it, cannot start."""
        ...


class Standalone:
    """No launcher, as in `python -m app.runtime.main`: no previous generation and no next one."""

    code = DEVELOPMENT
    status: Path | None = None
    handed: Sequence[int] = ()

    def holds(self, descriptors: Sequence[int], workers: int) -> None:
        """Do nothing: there is no next generation."""

    def up(self) -> None:
        """Do nothing."""

    def failed(self, why: str) -> None:
        """Do nothing: the error is logged."""


class RefusedCode(msgspec.Struct, frozen=True):
    """Code that was refused."""

    code: str
    why: str
    at: float
    """Unix time of the refusal."""


class CodeView(msgspec.Struct, frozen=True):
    """Active and refused code, as the launcher writes it and GET /config shows it."""

    serving: str
    """Digest of the active code: of the release's directory, or `dev` without a launcher."""
    refused: RefusedCode | None = None
    """The code that came last, where it was refused."""


def is_serving(launcher: Launcher) -> bool:
    """Return whether this generation serves, rather than one that it is to replace."""
    return not launcher.handed or code_view(launcher).serving == launcher.code


def code_view(launcher: Launcher) -> CodeView:
    """Return what the launcher has written; the code of this generation where there is nothing yet."""
    if launcher.status is not None:
        try:
            return msgspec.json.decode(launcher.status.read_bytes(), type=CodeView)
        except (OSError, msgspec.DecodeError):
            pass
    return CodeView(launcher.code)

"""What the service expects of the launcher that holds its ports, and what it does without one.

See `launcher`, which is not imported here: it goes on while this code is exchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEVELOPMENT = "dev"


class Launcher(Protocol):
    """The service's line to what started it."""

    @property
    def code(self) -> str:
        """Digest of the code that runs here."""
        ...

    @property
    def status(self) -> Path | None:
        """File in which the launcher says which code serves and which it refused: see CodeView."""
        ...

    @property
    def handed(self) -> Sequence[int]:
        """Descriptors of the generation before: the lock of the state directory, then the listening sockets."""
        ...

    def holds(self, descriptors: Sequence[int], workers: int) -> None:
        """Give away what the next generation gets, and say how many workers this one starts."""
        ...

    def up(self) -> None:
        """A worker of this generation answers."""
        ...

    def failed(self, why: str) -> None:
        """This generation, or a worker of it, cannot start."""
        ...


class Alone:
    """`python -m app.runtime.main` by hand: nobody holds anything, and nobody follows."""

    code = DEVELOPMENT
    status: Path | None = None
    handed: Sequence[int] = ()

    def holds(self, descriptors: Sequence[int], workers: int) -> None:
        """Nobody wants it."""

    def up(self) -> None:
        """Nobody waits for it."""

    def failed(self, why: str) -> None:
        """It is logged anyhow."""


class RefusedCode(msgspec.Struct, frozen=True):
    """Code that was to take over and could not."""

    code: str
    why: str
    at: float
    """When, in seconds of the clock: the same code may be tried again."""


class CodeView(msgspec.Struct, frozen=True):
    """The code of the service, as the launcher writes it down and GET /config shows it."""

    serving: str
    """Digest of the code that answers: that of the release's directory, or `dev` without a launcher."""
    refused: RefusedCode | None = None
    """What came last, where it did not take over."""


def is_serving(launcher: Launcher) -> bool:
    """Whether no other generation than this one answers on the sockets that it has."""
    return not launcher.handed or code_view(launcher).serving == launcher.code


def code_view(launcher: Launcher) -> CodeView:
    """What the launcher has written down; what runs here where it has not yet."""
    if launcher.status is not None:
        try:
            return msgspec.json.decode(launcher.status.read_bytes(), type=CodeView)
        except (OSError, msgspec.DecodeError):
            pass
    return CodeView(launcher.code)

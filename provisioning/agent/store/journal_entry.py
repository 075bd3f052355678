"""A line of the journal, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

SCHEMA = 1


@dataclass(frozen=True)
class JournalStep:
    """The push, release and step that a request writes into the journal."""

    push: str
    release: str
    step: str


@dataclass(frozen=True)
class JournalEntry:
    """The begin or end of a step, of a push, or of a rollback.

    A push begins with the step `push` and ends with a `result`. Lines of schema 1 that were written before
    the version was written lack it.
    """

    schema: int = SCHEMA
    at: str = ""
    """ISO 8601, by the host's clock."""
    push: str = ""
    """Id of the push or rollback that the entry belongs to."""
    release: str = ""
    previous: Optional[str] = None
    step: str = ""
    state: str = ""
    """begin or end."""
    status: Optional[int] = None
    what: str = ""
    who: str = ""
    result: str = ""
    """ok or failed."""
    error: str = ""
    restored: Optional[str] = None
    """Digest of the release that was restored after a failure."""
    outcome: str = ""
    """What was restored or stopped after a failure, as text."""
    seconds: Optional[float] = None
    took: dict[str, float] = field(default_factory=dict)
    """Service -> seconds that its recreation took."""
    actions: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """Return the entry without its empty fields."""
        return {name: value for name, value in vars(self).items() if value not in (None, "", (), {})}

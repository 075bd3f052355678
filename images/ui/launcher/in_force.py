"""Which pages are in force: the launcher writes it down, the server reads it before it runs any of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Refusal:
    """Code that does not come to serve."""

    code: str
    """Its digest; empty where a file of it could not be read."""
    why: str
    """Place and kind of the fault. What it said is in the log only: whoever opens the UI can read this."""
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class InForce:
    """The code that serves."""

    digest: str
    path: str
    """Directory of our copy of the package."""
    tried: bool
    """Whether every page of it has come to its end."""
    refused: Refusal | None = None
    """What came last, where it did not come to serve."""

    def write(self, file: Path) -> None:
        """Put it down in one step. Raises OSError."""
        part = file.with_name(f".{file.name}")
        part.write_text(json.dumps(asdict(self)))
        part.replace(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        """What was written last. Raises OSError."""
        found = json.loads(file.read_text())
        refused = found.pop("refused")
        return cls(**found, refused=Refusal(**refused) if refused else None)

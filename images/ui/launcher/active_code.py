"""The record of the active pages: the launcher writes it, the server reads it before it runs any of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Refusal:
    """Code that was not activated."""

    code: str
    """Its digest; empty when a file of it could not be read."""
    why: str
    """File, line and type of the error. Its message is in the log only: every user of the UI can read this."""
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class ActiveCode:
    """The code that serves."""

    digest: str
    path: str
    """Directory of the launcher's copy of the package."""
    tried: bool
    """Whether the self-check of every page has passed."""
    refused: Refusal | None = None
    """The latest code, when it was not activated."""

    def write(self, file: Path) -> None:
        """Write the record atomically. Raises OSError."""
        part = file.with_name(f".{file.name}")
        part.write_text(json.dumps(asdict(self)))
        part.replace(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the latest record. Raises OSError."""
        found = json.loads(file.read_text())
        refused = found.pop("refused")
        return cls(**found, refused=Refusal(**refused) if refused else None)

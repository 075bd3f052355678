"""Registry of the workers: one file for each, with the models and the code that it serves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from app.launcher_api import DEVELOPMENT
from app.shm.leased_file import claim, is_claimed

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 2048


class WorkerView(msgspec.Struct, frozen=True):
    """One worker, as GET /config shows it."""

    manifest_sha256: str | None
    """SHA-256 of the manifest whose models it serves."""
    since: str
    refused: str | None = None
    """Why it refused the models of the last reload; null when it activated them."""
    code: str = DEVELOPMENT
    """Digest of the code that it runs."""


class WorkerRegistry:
    """The entry of one worker, and a view of all of them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._file = claim(directory, "worker")

    def write(self, view: WorkerView) -> None:
        """Replace this worker's entry."""
        # One write of a fixed size is atomic: a reader gets the old entry or the new one.
        os.pwrite(self._file, msgspec.json.encode(view)[:_SIZE].ljust(_SIZE), 0)

    def clear(self) -> None:
        """Remove this worker's entry: it takes no further connections."""
        os.ftruncate(self._file, 0)

    def read(self) -> list[WorkerView]:
        """Return the entries of all living workers that take connections."""
        found = []
        for path in sorted(self._directory.glob("worker-*.bin")):
            content = path.read_bytes().strip()
            if content and is_claimed(path):
                found.append(msgspec.json.decode(content, type=WorkerView))
        return found

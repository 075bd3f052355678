"""What each worker says of itself, for all of them to read: which models it serves, and which it refused."""

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
    """The models that it serves."""
    since: str
    refused: str | None = None
    """Why it did not take the models that came last; null when it did."""
    code: str = DEVELOPMENT
    """Digest of the code that it runs."""


class Board:
    """One worker's line."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._file = claim(directory, "worker")

    def write(self, view: WorkerView) -> None:
        """Say this from now on."""
        # One write of one size: a reader finds the old line or the new one.
        os.pwrite(self._file, msgspec.json.encode(view)[:_SIZE].ljust(_SIZE), 0)

    def clear(self) -> None:
        """Say nothing any more: this worker takes no new connections."""
        os.ftruncate(self._file, 0)

    def read(self) -> list[WorkerView]:
        """What all workers say that live and take connections."""
        found = []
        for path in sorted(self._directory.glob("worker-*.bin")):
            content = path.read_bytes().strip()
            if content and is_claimed(path):
                found.append(msgspec.json.decode(content, type=WorkerView))
        return found

"""A private copy of the package `ui`: what is hashed is what the self-check runs and what serves."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from images.launcher.live_code import is_verified, read_live_code

PACKAGE = "ui"


class SnapshotError(Exception):
    """A file of the code cannot be read."""


@dataclass(frozen=True)
class Snapshot:
    """One state of the package, in a copy of the launcher's own."""

    digest: str
    """Digest of the files: equal to that of a release's data directory."""
    path: Path
    """Entry of `sys.path` that holds the copy of the package."""
    origin: Path
    """Directory it was copied from, links resolved."""
    verified: bool
    """Whether a push has verified this code as active on this host."""


def take_snapshot(directory: Path, store: Path) -> Snapshot:
    """Copy the code in the directory into a directory of its own below `store`. Raises SnapshotError."""
    part = store / f".{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    try:
        code = read_live_code(directory)
        path = store / code.digest
        if not path.is_dir():
            for name, content in code.files.items():
                copy = part / PACKAGE / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
            part.replace(path)
    except OSError as error:
        raise SnapshotError(f"{error.filename or store}: {error.strerror}") from error
    return Snapshot(code.digest, path, code.root, is_verified(directory, code.digest))

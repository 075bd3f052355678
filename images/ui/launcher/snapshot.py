"""The package `ui` as it lies in its directory now, copied once: what is hashed is what is tried and what serves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "ui"
_NOT_SHIPPED = "__pycache__"
RELEASED = ".data"
"""Where a push keeps the code that is in force and the one before it, each in a directory of its own."""
_SEEN = ".in-force"
"""Where a push writes down the digest of the code that it has seen in force."""


class SnapshotError(Exception):
    """A file of the code cannot be read."""


@dataclass(frozen=True)
class Snapshot:
    """One state of the package, in a copy of our own."""

    digest: str
    """SHA-256 over path, mode and content of every file: the digest that a release gives to the same directory."""
    path: Path
    """What Python has to look through to find it: the directory that our copy of the package lies in."""
    origin: Path
    """Where it was copied from, links followed."""
    worked: bool
    """A push has seen it serve on this host."""


def take(directory: Path, store: Path) -> Snapshot:
    """Copy what lies in the directory now into a directory of its own below `store`.

    Links are followed once, so that a switch while we read mixes nothing. Raises SnapshotError.
    """
    origin = (directory / "__init__.py").resolve().parent
    part = store / f".{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    lines: list[str] = []
    try:
        for file in sorted(_files(origin), key=lambda item: item.relative_to(origin).as_posix()):
            name, content = file.relative_to(origin).as_posix(), file.read_bytes()
            mode = file.stat().st_mode & 0o777
            lines.append(f"{name} {mode:04o} {hashlib.sha256(content).hexdigest()}")
            copy = part / PACKAGE / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        # The same text as of a release's data directory.
        text = json.dumps(lines, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if (store / digest).is_dir():
            shutil.rmtree(part)
        else:
            part.replace(store / digest)
    except OSError as error:
        raise SnapshotError(f"{error.filename or store}: {error.strerror}") from error
    return Snapshot(digest, store / digest, origin, _seen(directory) == digest)


def code_before(origin: Path) -> Path | None:
    """The code that lay where this one lies now, as far as a release has left it there."""
    if origin.parent.name != RELEASED:
        return None
    others = [path for path in origin.parent.iterdir() if path != origin and (path / "__init__.py").is_file()]
    return max(others, key=lambda path: path.stat().st_mtime, default=None)


def _seen(directory: Path) -> str:
    try:
        return (directory / _SEEN).read_text().strip()
    except OSError:
        return ""


def _files(origin: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(origin):
        folders[:] = [name for name in folders if name != _NOT_SHIPPED]
        for name in names:
            yield Path(folder) / name

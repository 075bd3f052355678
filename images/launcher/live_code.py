"""Read a directory of live code: its files, its digest, and the code that a release kept beside it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOT_SHIPPED = "__pycache__"
_KEPT = ".data"
"""Where a push keeps the active code and the previous one, each in a directory of its own."""
_VERIFIED = ".in-force"
"""Where a push records the digest of the code that it has verified as active."""


@dataclass(frozen=True)
class LiveCode:
    """One state of a code directory."""

    digest: str
    """SHA-256 over path, mode and content of every file: equal to the digest of a release's data directory."""
    root: Path
    """The directory it was read from, links resolved."""
    files: Mapping[str, bytes] = field(repr=False)
    """Path relative to `root` -> content."""


def read_live_code(directory: Path) -> LiveCode:
    """Read every file of the directory once. Raises OSError.

    Links are resolved once, so that a switch during the read mixes nothing.
    """
    root = _root(directory)
    files: dict[str, bytes] = {}
    lines: list[str] = []
    for path in sorted(_walk(root), key=lambda item: item.relative_to(root).as_posix()):
        name = path.relative_to(root).as_posix()
        files[name] = content = path.read_bytes()
        mode = path.stat().st_mode & 0o777
        lines.append(f"{name} {mode:04o} {hashlib.sha256(content).hexdigest()}")
    # The same text as in provisioning/release.
    text = json.dumps(lines, separators=(",", ":"), ensure_ascii=False)
    return LiveCode(hashlib.sha256(text.encode()).hexdigest(), root, files)


def is_verified(directory: Path, digest: str) -> bool:
    """Return whether a push has verified code of this digest as active in this directory."""
    try:
        return bool(digest) and (directory / _VERIFIED).read_text().strip() == digest
    except OSError:
        return False


def previous_code(directory: Path) -> Path | None:
    """Return the root of the code that was active before the one in this directory, where a release kept it."""
    root = _root(directory)
    if root.parent.name != _KEPT:
        return None
    others = [path for path in root.parent.iterdir() if path != root and (path / "__init__.py").is_file()]
    return max(others, key=lambda path: path.stat().st_mtime, default=None)


def _root(directory: Path) -> Path:
    return (directory / "__init__.py").resolve().parent


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != _NOT_SHIPPED]
        for name in names:
            yield Path(folder) / name

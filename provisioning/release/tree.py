"""Read the files of the project's tree that ship with a release."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from provisioning.errors import ReleaseError
from provisioning.release.manifest import ReleaseFile

COMPOSE_FILE = "docker-compose.yml"

_IGNORED_DIRECTORIES = frozenset(
    [
        "__pycache__",
        "tests",
        ".git",
        ".venv",
        ".idea",
        ".vscode",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".ipynb_checkpoints",
        "node_modules",
    ]
)
_IGNORED_FILES = re.compile(r".*\.py[cod]|.*~|\.?#.*|.*\.sw[a-p]|.*\.(orig|rej|tmp)|\.DS_Store|\.env.*")
_IGNORED_PATHS = re.compile(r"(.*/)?\.streamlit/secrets(\..*)?")
_UNUSABLE_NAME = re.compile(r"[\x00-\x1f\x7f\\]")


def read_file(root: Path, path: str) -> tuple[ReleaseFile, bytes]:
    """Return one file of the tree and its content. Raises ReleaseError as `read_files` does."""
    return _read(root, root / path)


def read_files(root: Path, directories: set[str]) -> Iterator[tuple[ReleaseFile, bytes]]:
    """Read every file below these directories once, with its content, without what no release carries.

    The compose file is left out. Raises ReleaseError for links that leave the tree, special files and names
    that cannot be shipped.
    """
    seen = {root / COMPOSE_FILE}
    for directory in sorted(directories):
        base = root / directory
        if base.is_symlink() or (base.exists() and not base.is_dir()):
            raise ReleaseError(f"{directory} is not a directory")
        for path in _walk(root, base) if base.is_dir() else ():
            if path not in seen:
                seen.add(path)
                yield _read(root, path)


def _walk(root: Path, directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        relative = path.relative_to(root).as_posix()
        if _IGNORED_FILES.fullmatch(path.name) or _IGNORED_PATHS.fullmatch(relative):
            continue
        if path.is_dir() and not path.is_symlink():
            if path.name not in _IGNORED_DIRECTORIES:
                yield from _walk(root, path)
        else:
            yield path


def _read(root: Path, path: Path) -> tuple[ReleaseFile, bytes]:
    relative = path.relative_to(root).as_posix()
    if _UNUSABLE_NAME.search(relative) or not relative.isprintable():
        raise ReleaseError(f"the file name {relative!r} holds characters that cannot be shipped")
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise ReleaseError(f"{relative} is a link that leaves the project")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ReleaseError(f"{relative} is not a regular file, and only those can be shipped")
        content = path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{relative} cannot be read: {error.strerror}") from error
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return ReleaseFile(relative, mode, hashlib.sha256(content).hexdigest(), len(content)), content

"""The package `app` as it lies in its directory now, read once: what is hashed is what runs."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, ModuleType

PACKAGE = "app"
_PREFIX = f"{PACKAGE}."
_NOT_SHIPPED = "__pycache__"
RELEASED = ".data"
"""Where a push keeps the code that is in force and the one before it, each in a directory of its own."""
_SEEN = ".in-force"
"""Where a push writes down the digest of the code that it has seen in force."""


class CodeError(Exception):
    """The code cannot be run: a file cannot be read, or is not Python."""

    def __init__(self, digest: str, why: str) -> None:
        self.digest = digest
        super().__init__(why)


@dataclass(frozen=True)
class Code:
    """One state of the package, compiled."""

    digest: str
    """SHA-256 over path, mode and content of every file: the digest that a release gives to the same directory."""
    place: Path
    modules: dict[str, CodeType] = field(repr=False)
    """Path of each Python file relative to `place` -> its code."""
    sources: dict[str, bytes] = field(repr=False)


def read_code(directory: Path) -> Code:
    """What lies in the directory now. Links are followed once, so that a switch while we read mixes nothing.

    Raises CodeError, with the digest where every file could be read.
    """
    place = (directory / "__init__.py").resolve().parent
    lines: list[str] = []
    sources: dict[str, bytes] = {}
    try:
        for path in sorted(_files(place), key=lambda item: item.relative_to(place).as_posix()):
            name, content = path.relative_to(place).as_posix(), path.read_bytes()
            mode = path.stat().st_mode & 0o777
            lines.append(f"{name} {mode:04o} {hashlib.sha256(content).hexdigest()}")
            if path.suffix == ".py":
                sources[name] = content
    except OSError as error:
        raise CodeError("", f"{error.filename}: {error.strerror}") from error
    # The same text as of a release's data directory.
    text = json.dumps(lines, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    modules = {}
    for name, content in sources.items():
        try:
            modules[name] = compile(content, str(place / name), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            why = error.msg if isinstance(error, SyntaxError) else str(error)
            raise CodeError(digest, f"{name}{line}: {why}") from error
    return Code(digest, place, modules, sources)


def seen_in_force(directory: Path) -> str:
    """Digest of the code that a push has seen serve from this directory; empty where none has."""
    try:
        return (directory / _SEEN).read_text().strip()
    except OSError:
        return ""


def code_before(place: Path) -> Path | None:
    """The code that lay where this one lies now, as far as a release has left it there."""
    if place.parent.name != RELEASED:
        return None
    others = [path for path in place.parent.iterdir() if path != place and (path / "__init__.py").is_file()]
    return max(others, key=lambda path: path.stat().st_mtime, default=None)


def install(code: Code) -> None:
    """From now on, in this process, `app` is this code and nothing that lies on disk."""
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(_PREFIX)]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Importer(code))


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def __init__(self, code: Code) -> None:
        self._code = code

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interpreter's own signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != PACKAGE and not fullname.startswith(_PREFIX):
            return None
        file = self._file(fullname)
        origin = self._code.place / file
        package = origin.name == "__init__.py"
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=str(origin), is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [str(origin.parent)]
        return spec

    def get_code(self, fullname: str) -> CodeType:
        return self._code.modules[self._file(fullname)]

    def get_source(self, fullname: str) -> str:
        return self._code.sources[self._file(fullname)].decode()

    def is_package(self, fullname: str) -> bool:
        return self._file(fullname).endswith("__init__.py")

    def _file(self, name: str) -> str:
        relative = name[len(_PREFIX) :].replace(".", "/")
        for file in (f"{relative}.py", f"{relative}/__init__.py") if relative else ("__init__.py",):
            if file in self._code.modules:
                return file
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _files(place: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name != _NOT_SHIPPED]
        for name in names:
            yield Path(folder) / name

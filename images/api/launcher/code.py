"""The package `app`, read once and compiled: what is hashed is what runs."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from images.launcher.live_code import read_live_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import CodeType, ModuleType

PACKAGE = "app"
_PREFIX = f"{PACKAGE}."


class CodeError(Exception):
    """The code cannot be run: a file cannot be read, or is not Python. `digest` is empty in the first case."""

    def __init__(self, digest: str, why: str) -> None:
        self.digest = digest
        super().__init__(why)


@dataclass(frozen=True)
class Code:
    """One state of the package, compiled."""

    digest: str
    """Digest of the files: equal to that of a release's data directory."""
    root: Path
    modules: Mapping[str, CodeType] = field(repr=False)
    """Path of each Python file relative to `root` -> its code."""
    files: Mapping[str, bytes] = field(repr=False)


def read_code(directory: Path) -> Code:
    """Read and compile the code in the directory. Raises CodeError."""
    try:
        found = read_live_code(directory)
    except OSError as error:
        raise CodeError("", f"{error.filename}: {error.strerror}") from error
    modules = {}
    for name, content in found.files.items():
        if not name.endswith(".py"):
            continue
        try:
            modules[name] = compile(content, str(found.root / name), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            why = error.msg if isinstance(error, SyntaxError) else str(error)
            raise CodeError(found.digest, f"{name}{line}: {why}") from error
    return Code(found.digest, found.root, modules, found.files)


def install(code: Code) -> None:
    """Let `app` in this process be this code, and nothing on disk."""
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
        origin = self._code.root / file
        package = origin.name == "__init__.py"
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=str(origin), is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [str(origin.parent)]
        return spec

    def get_code(self, fullname: str) -> CodeType:
        return self._code.modules[self._file(fullname)]

    def get_source(self, fullname: str) -> str:
        return self._code.files[self._file(fullname)].decode()

    def is_package(self, fullname: str) -> bool:
        return self._file(fullname).endswith("__init__.py")

    def _file(self, name: str) -> str:
        relative = name[len(_PREFIX) :].replace(".", "/")
        for file in (f"{relative}.py", f"{relative}/__init__.py") if relative else ("__init__.py",):
            if file in self._code.modules:
                return file
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

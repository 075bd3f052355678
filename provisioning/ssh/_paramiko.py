"""Imports paramiko before anybody else does, without the halves of Python and of itself that are never used here.

It imports a task runner for the `Match exec` lines of ssh_config files, which are not read here. That takes
longer than the rest of paramiko, and paramiko does without it where it is not installed. And it asks for its own
version in a way that reads mail: a tenth of the time of a push that has nothing to do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_TASKS = "invoke"
_METADATA = "importlib.metadata"


class _Metadata(ModuleType):
    """`importlib.metadata` while paramiko loads: the version is in the name of a directory; all else is as ever."""

    def version(self, name: str) -> str:
        loading = sys.modules.get(name)
        found = list(Path(loading.__path__[0]).parent.glob(f"{name}-*.dist-info")) if loading else []
        if len(found) == 1:
            return found[0].name.removeprefix(f"{name}-").removesuffix(".dist-info")
        return str(self.__getattr__("version")(name))

    def __getattr__(self, name: str) -> Any:
        sys.modules.pop(_METADATA, None)
        from importlib import metadata

        return getattr(metadata, name)


if _TASKS in sys.modules or "paramiko" in sys.modules:
    import paramiko as paramiko
else:
    # None stands for: cannot be imported.
    sys.modules[_TASKS] = None  # type: ignore[assignment]
    sys.modules.setdefault(_METADATA, _Metadata(_METADATA))
    try:
        import paramiko as paramiko
    finally:
        del sys.modules[_TASKS]
        if isinstance(sys.modules.get(_METADATA), _Metadata):
            del sys.modules[_METADATA]

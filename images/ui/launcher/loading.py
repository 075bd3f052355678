"""Load the package `ui` of a snapshot into this process."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from .snapshot import PACKAGE

if TYPE_CHECKING:
    from types import ModuleType

FRAME = f"{PACKAGE}.streamlit_app"
"""The module with `PAGES`, the pages by name, and `main`, which shows the requested one."""


def load(path: str) -> ModuleType:
    """Import the package again, from this directory, and return its frame.

    The frame imports all pages, so nothing is loaded later from a directory that may be gone. When the import fails,
    its exception is raised and the package that was loaded before stays loaded.
    """
    before = {name: module for name, module in sys.modules.items() if _ours(name)}
    paths = sys.path[:]
    _forget()
    sys.path.insert(0, path)
    importlib.invalidate_caches()
    try:
        frame = importlib.import_module(FRAME)
    except BaseException:
        _forget()
        sys.modules.update(before)
        raise
    finally:
        # The next snapshot has another path.
        sys.path[:] = paths
    return frame


def _forget() -> None:
    for name in [name for name in sys.modules if _ours(name)]:
        del sys.modules[name]


def _ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")

"""Make the package `ui` of this process the one of a snapshot."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from .snapshot import PACKAGE

if TYPE_CHECKING:
    from types import ModuleType

FRAME = f"{PACKAGE}.streamlit_app"
"""The module that has `PAGES`, by name, and `main`, which shows the one that was asked for."""


def load(path: str) -> ModuleType:
    """Import the package from this directory anew, and return its frame.

    It imports all of its pages, so nothing is loaded later from a directory that may be gone. When it cannot be
    imported, whatever it raises goes to the caller, and what was there before is still there.
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
        # The next one lies elsewhere.
        sys.path[:] = paths
    return frame


def _forget() -> None:
    for name in [name for name in sys.modules if _ours(name)]:
        del sys.modules[name]


def _ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")

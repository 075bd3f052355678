"""The `__main__` of both launchers: two directories from the environment, then the loop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from images.launcher.preload import preload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CODE_VARIABLE = "ONEBOX_CODE_DIR"
STATE_VARIABLE = "ONEBOX_STATE_DIR"


class Launcher(Protocol):
    """A launcher's loop."""

    def run(self) -> int:
        """Run until the service has ended, and return its exit status."""
        ...


def run(launcher: Callable[[Path, Path], Launcher], image: str, package: str, modules: Iterable[str]) -> int:
    """Run an image's launcher over the code of `package`, with `modules` preloaded; return its exit status."""
    # An image sets both; these are the directories of a checkout.
    root = Path(__file__).resolve().parents[2]
    code = Path(os.environ.get(CODE_VARIABLE) or root / package)
    state = Path(os.environ.get(STATE_VARIABLE) or root / ".onebox" / image)
    # The service has the same state directory as its launcher.
    os.environ[STATE_VARIABLE] = str(state)
    # Before the imports: from here on the launcher of the UI loses no signal.
    loop = launcher(code, state)
    preload(modules)
    return loop.run()

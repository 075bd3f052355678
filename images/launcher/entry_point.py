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


def run(launcher: Callable[[Path, Path], Launcher], package: str, modules: Iterable[str]) -> int:
    """Run a launcher over the code of `package`, with `modules` preloaded; return its exit status."""
    # Image and checkout have the same layout.
    code = Path(os.environ.get(CODE_VARIABLE) or Path(__file__).resolve().parents[2] / package)
    state = Path(os.environ.get(STATE_VARIABLE) or "/tmp/onebox")  # noqa: S108 - the container's tmpfs
    # Before the imports: from here on the launcher of the UI loses no signal.
    loop = launcher(code, state)
    preload(modules)
    return loop.run()

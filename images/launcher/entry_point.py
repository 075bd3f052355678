"""The `__main__` of both launchers: two directories from the environment, then the loop."""

from __future__ import annotations

import os
import stat
import sys
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
    _make_private(state)
    # The service has the same state directory as its launcher.
    os.environ[STATE_VARIABLE] = str(state)
    # Before the imports: from here on the launcher of the UI loses no signal.
    loop = launcher(code, state)
    preload(modules)
    return loop.run()


def _make_private(directory: Path) -> None:
    """Create a directory with mode 0700 where it is missing; exit with 1 where other users could write to it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat(follow_symlinks=False)
    except OSError as error:
        sys.exit(f"{directory} cannot be used: {error.strerror}. Set {STATE_VARIABLE} to another directory.")
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        sys.exit(f"{directory} is open to other users. Set {STATE_VARIABLE} to another directory.")

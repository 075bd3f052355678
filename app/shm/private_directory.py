"""Create directories that no other user can write to."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from app.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

HINT = "Set ONEBOX_STATE_DIR to a directory of this user alone, or to one that does not exist yet."


def make_private(directory: Path) -> None:
    """Create a directory with mode 0700 where it is missing; raise ServerError where other users could write to it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat(follow_symlinks=False)
    except OSError as error:
        raise ServerError(f"{directory} cannot be used: {error.strerror}.", hint=HINT) from error
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise ServerError(f"{directory} is open to other users.", hint=HINT)

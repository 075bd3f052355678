"""Files of which every worker has its own: numbered, held by a lock that ends with the process."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def claim(directory: Path, stem: str) -> int:
    """Descriptor of the first `<stem>-<number>.bin` that no living process holds, made where there is none.

    It stays locked until it is closed or the process ends. The directory must exist.
    """
    number = 0
    while True:
        file = os.open(directory / f"{stem}-{number}.bin", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            number += 1
        else:
            return file


def is_claimed(path: Path) -> bool:
    """Whether a living process, this one included, holds such a file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

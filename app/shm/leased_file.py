"""Numbered files, each leased to one process by a lock that ends with the process."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def claim(directory: Path, stem: str) -> int:
    """Lease the first free `<stem>-<number>.bin`, created where missing; return its descriptor.

    The lease ends when the descriptor is closed or the process ends. The directory must exist.
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
    """Return whether a living process, this one included, has a lease of the file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

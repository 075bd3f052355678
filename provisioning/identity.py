"""The user's name, as the lock and the audit log show it."""

from __future__ import annotations

import getpass
import os
import socket


def whoami() -> str:
    """Return `user@machine` of this process; the uid stands for a user without a name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"

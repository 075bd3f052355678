"""Who acts, as the lock and the audit log show it."""

from __future__ import annotations

import getpass
import os
import socket


def whoami() -> str:
    """`user@machine` of this process. A user without a name in the system's list is its number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"

"""Child processes: their exit status, and signals to them."""

from __future__ import annotations

import os
import signal


def exit_status(found: int) -> int:
    """Return the exit status in what `os.waitpid` found; a signal counts as in a shell, 128 and its number."""
    status = os.waitstatus_to_exitcode(found)
    return status if status >= 0 else 128 - status


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process; do nothing when it has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

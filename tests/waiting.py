"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], seconds: float = 30, what: str = "", *, pause: float = 0.05
) -> float:
    """Return after how many seconds the condition held; an AssertionError or OSError of it counts as not yet.

    Raises AssertionError when it does not hold in time, and the condition's last error where it raised one.
    """
    started = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - started
            error: AssertionError | OSError = AssertionError(f"not within {seconds:g} s: {what}")
        except (AssertionError, OSError) as raised:
            error = raised
        if time.monotonic() - started > seconds:
            raise error
        time.sleep(pause)

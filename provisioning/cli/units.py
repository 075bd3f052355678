"""Pure: durations and sizes as text."""

from __future__ import annotations

_STEPS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def ago(seconds: float | None) -> str:
    """Return `3 min`, `2 h`, `5 d`; empty for None."""
    if seconds is None:
        return ""
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: int | None) -> str:
    """Return bytes as `512 MiB` or `7.4 GiB`; `?` for None."""
    if count is None:
        return "?"
    if count >= 1 << 30:
        return f"{count / (1 << 30):.1f} GiB"
    return f"{count / (1 << 20):.0f} MiB"

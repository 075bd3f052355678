"""Pure: what an image build that failed has to say for itself."""

from __future__ import annotations

import re

_FRAME = re.compile(r"-{6,}")
_TIME = re.compile(r"^[0-9]+\.[0-9]+ ")
TAIL_LINES = 20


def failure_tail(log: str) -> tuple[str, ...]:
    """The last lines that the failed command itself printed, oldest first.

    BuildKit repeats them at the end of its plain log between two lines of dashes, under a line that names the
    command. Without that frame, the last lines of the whole log.
    """
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    frames = [number for number, line in enumerate(lines) if _FRAME.fullmatch(line)]
    if len(frames) >= 2:
        said = lines[frames[-2] + 1 : frames[-1]]
        lines = [line for line in said if not line.startswith(" > ")] or lines
    return tuple(_TIME.sub("", line) for line in lines[-TAIL_LINES:])

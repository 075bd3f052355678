"""Scripts that run on the host. They use nothing but Python's standard library, and each other by text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_SHARED = re.compile(r"^from provisioning\.agent\.(?:\w+\.)?(\w+) import \w+(, \w+)*\n", re.MULTILINE)
_HERE = Path(__file__).parent
_FUTURE = "from __future__ import annotations\n"


@cache
def script(name: str) -> str:
    """The text of one script, with the modules that it imports from this package in place of the imports."""
    there: set[str] = set()

    def whole(name: str) -> str:
        return _SHARED.sub(lambda match: part(match[1]), _read(name))

    def part(name: str) -> str:
        # What several of them need is there once.
        if name in there:
            return ""
        there.add(name)
        return whole(f"{name}.py").replace(_FUTURE, "")

    return whole(name)


def _read(name: str) -> str:
    (path,) = _HERE.rglob(name)
    return path.read_text(encoding="utf-8")

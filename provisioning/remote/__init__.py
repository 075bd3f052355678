"""Scripts that run on the host. They use nothing but Python's standard library, and each other by text."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_SHARED = re.compile(r"^from provisioning\.remote\.(\w+) import \w+(, \w+)*\n", re.MULTILINE)
_FUTURE = "from __future__ import annotations\n"


@cache
def script(name: str) -> str:
    """The text of one script, with the modules that it imports from this package in place of the imports."""
    return _SHARED.sub(lambda match: _read(f"{match[1]}.py").replace(_FUTURE, ""), _read(name))


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")

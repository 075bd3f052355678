"""Scripts that run on the host. They use nothing but Python's standard library."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """The text of one script."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")

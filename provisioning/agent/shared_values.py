"""What several scripts of one connection need, and what travels once. Part of the scripts that need it."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def given(value: Any) -> Any:
    """A value of a request: what its name stands for, where it is one that the runner was given, else itself."""
    return json.loads(globals()["GIVEN"][value]) if isinstance(value, str) else value

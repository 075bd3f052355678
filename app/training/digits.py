"""How numbers are written into the artifacts."""

from __future__ import annotations

from typing import Any

import numpy as np


def short(value: Any) -> float:
    """Seven digits, which is what float32 holds; more would write 5.099999904632568 for 5.1."""
    return float(f"{float(value):.7g}")


def exact(value: np.float32) -> float:
    """The shortest decimal that is this float32 again."""
    return float(str(value))

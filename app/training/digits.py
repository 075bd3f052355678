"""Round numbers for the artifacts."""

from __future__ import annotations

from typing import SupportsFloat

import numpy as np


def short(value: SupportsFloat) -> float:
    """Return the value with seven digits, the precision of float32; more would give 5.099999904632568 for 5.1."""
    return float(f"{float(value):.7g}")


def exact(value: np.float32) -> float:
    """Return the shortest decimal that rounds to this float32."""
    return float(str(value))

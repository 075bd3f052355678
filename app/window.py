"""The window that drift looks at: the latest real rows of all workers, read from their rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.prediction_ring import recent

if TYPE_CHECKING:
    from pathlib import Path

    from app.drift import Matrix


def recent_rows(directory: Path, features: int, count: int) -> Matrix:
    """The last `count` rows that were answered and are not synthetic, oldest first, shape (rows, features)."""
    rows: Matrix = recent(directory, features, count)["features"].astype(np.float64)
    return rows

"""What each row of the fault table found, for one table at the end of the run."""

from __future__ import annotations

import os
import random
import secrets
from dataclasses import dataclass

FULL = os.environ.get("ONEBOX_FAULTS") == "full"
"""All rounds of the table instead of a few."""
SEED = int(os.environ.get("ONEBOX_FAULTS_SEED") or secrets.randbelow(10**6))


@dataclass(frozen=True)
class Figure:
    """One row: its number in the table, and what was seen."""

    row: str
    text: str


found: list[Figure] = []


def figure(row: str, text: str) -> None:
    """Keep what a row found, and print it."""
    found.append(Figure(row, text))
    print(f"{row}: {text}")


def rounds(full: int, few: int) -> int:
    """How often a row is tried in this run."""
    return full if FULL else few


def dice(row: str) -> random.Random:
    """The random numbers of one row; the same for the same seed, whichever rows run beside it."""
    return random.Random(f"{SEED} {row}")  # noqa: S311 - repeatable, not secret

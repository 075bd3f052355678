"""Requests that run a command on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from provisioning.agent.protocol import Request
from provisioning.agent.store.journal_entry import JournalStep


@dataclass(frozen=True)
class RunStep(Request[None]):
    """Run a command that changes the host, under the steps' lock, with its begin and end in the journal.

    Prints the command's output of both kinds, and ends with its exit code, TIMED_OUT after `seconds`,
    HUNG_UP when the input ended (unless `finish`), or TERMINATED when the lock was broken. `log` is a file
    that gets the output too.
    """

    root: str
    journal: Optional[JournalStep]
    argv: tuple[str, ...]
    seconds: float
    finish: bool
    log: str = ""


@dataclass(frozen=True)
class RunAttached(Request[None]):
    """Run a command that changes nothing of the store, until it ends or the input does: then with HUNG_UP."""

    argv: tuple[str, ...]

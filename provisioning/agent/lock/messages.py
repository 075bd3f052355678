"""Requests about the lock of a host, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from provisioning.agent.lock.holder_file import Holder
from provisioning.agent.protocol import Request

HELD = "held"
"""What HoldLock prints once the lock is held."""


@dataclass(frozen=True)
class HoldLock(Request[None]):
    """Hold the lock until the input ends or stays silent for half a minute.

    Prints HELD. Each line of input is a heartbeat when it is empty, else the `Outcome` as JSON. Ends with
    LOCKED after printing the holder, or with LOCK_BROKEN (by SIGTERM) after printing who broke it.
    """

    root: str
    holder: Holder


@dataclass(frozen=True)
class Outcome:
    """How the work under the lock ended: its result and detail in the audit log."""

    result: str
    detail: str = ""


@dataclass(frozen=True)
class LockHolders:
    """The holder of the lock, and how many steps run."""

    holder: Optional[Holder]
    steps: int
    free: bool


@dataclass(frozen=True)
class ReadLock(Request[LockHolders]):
    """Read who holds the lock, without taking it."""

    root: str


@dataclass(frozen=True)
class BreakLock(Request[LockHolders]):
    """End the holder, its SSH session and its steps, and wait until they have ended."""

    root: str
    by: str

"""Timeouts of each phase; none is longer than the time in which a silent host is detected."""

from __future__ import annotations

from dataclasses import dataclass

import paramiko

BROKEN = (paramiko.SSHException, EOFError, OSError)
"""What paramiko raises from a stream whose connection has just gone."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds for each phase of a connection, and for the probes that detect a silent host."""

    tcp: float = 8.0
    banner: float = 12.0
    auth: float = 12.0
    channel: float = 12.0
    probe_every: float = 5.0
    probe_limit: float = 12.0

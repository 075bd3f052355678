"""How long each phase may take; none of them is longer than the time in which a silent host is noticed."""

from __future__ import annotations

from dataclasses import dataclass

import paramiko

BROKEN = (paramiko.SSHException, EOFError, OSError)
"""What paramiko raises from a stream whose connection has just gone."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds for each phase of connecting, and for noticing that the host is gone."""

    tcp: float = 8.0
    banner: float = 12.0
    auth: float = 12.0
    channel: float = 12.0
    probe_every: float = 5.0
    probe_limit: float = 12.0

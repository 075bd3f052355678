"""Requests a second for each client over all workers: a table in shared memory with a column for each worker.

A worker writes only its own column and reads all of them, so no count is lost and no process waits for another. The
limit is exceeded at most by as many requests as there are workers that count at the same instant. Two clients share a
row when the keyed hash of their addresses collides: a chance of one in ROWS.
"""

from __future__ import annotations

import ipaddress
import mmap
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 65_536
_COUNT_BITS = 24
_COUNT = (1 << _COUNT_BITS) - 1


class RateLimit:
    """The rate limit of one worker. Safe to call from any thread."""

    def __init__(self, path: Path, *, workers: int, number: int, per_second: int) -> None:
        """number: of this worker, from 0. All workers must be forked from one process, which keys their `hash`."""
        size = ROWS * workers * 8
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, size)
            self._cells = memoryview(mmap.mmap(file, size)).cast("q")
        finally:
            os.close(file)
        self._lock = threading.Lock()
        self._workers = workers
        self._number = number
        self._limit = per_second

    def allows(self, client: str, second: int) -> bool:
        """Count a request of a client in a second of Unix time; return False, and do not count, above the limit."""
        cells = self._cells
        first = hash(client) % ROWS * self._workers
        own = first + self._number
        with self._lock:
            total = 0
            for cell in range(first, first + self._workers):
                value = cells[cell]
                if value >> _COUNT_BITS == second:
                    total += value & _COUNT
            if total >= self._limit:
                return False
            value = cells[own]
            cells[own] = value + 1 if value >> _COUNT_BITS == second else second << _COUNT_BITS | 1
        return True


def client_of(peer: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 network of an IPv6 address (RFC 6177).

    REMOTE_ADDR may be another text with a colon behind a proxy, such as an address with a port, which differs between
    connections: all such peers count as one client.
    """
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return ""
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))

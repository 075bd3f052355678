"""Requests a second for each client, over all workers: a table in shared memory in which each worker has its column.

A worker writes its own cells only and reads those of the others, so nothing is lost and nothing is locked. At most
as many requests too many get through as there are workers asking at the very same moment. Clients share a row when
the keyed hash of their address puts them there: one chance in ROWS for any two.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 65_536
_COUNT_BITS = 24
_COUNT = (1 << _COUNT_BITS) - 1


class RateLimit:
    """One worker's column of the table, and a look at all of them."""

    def __init__(self, path: Path, *, workers: int, number: int, per_second: int) -> None:
        """number: which of the workers this is. All of them must come from one parent: it keys their `hash`."""
        size = ROWS * workers * 8
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, size)
            self._cells = memoryview(mmap.mmap(file, size)).cast("q")
        finally:
            os.close(file)
        self._workers = workers
        self._number = number
        self._limit = per_second

    def allows(self, client: str, second: int) -> bool:
        """Count a request of this client in this second of the clock; False when it is one too many."""
        cells = self._cells
        first = hash(client) % ROWS * self._workers
        total = 0
        for cell in range(first, first + self._workers):
            value = cells[cell]
            if value >> _COUNT_BITS == second:
                total += value & _COUNT
        if total >= self._limit:
            return False
        own = first + self._number
        value = cells[own]
        cells[own] = value + 1 if value >> _COUNT_BITS == second else second << _COUNT_BITS | 1
        return True


def client_of(peer: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of /64, which is what one customer has."""
    if ":" not in peer:
        return peer
    import ipaddress

    address = ipaddress.IPv6Address(peer.partition("%")[0])
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))

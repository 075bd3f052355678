"""Addresses of the cloud's network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Collection


def next_free(pool: ipaddress.IPv4Network, taken: Collection[str], wish: str | None = None) -> str | None:
    """Return the lowest free address of the pool, or the requested one; None when it is not free.

    The pool's last address is the network's broadcast address and never handed out.
    """
    usable = (str(address) for address in pool if address != pool.broadcast_address)
    return next((address for address in usable if address not in taken and wish in (None, address)), None)

"""The open connections of one worker: their number, the memory held for their clients, and their deadlines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.http.messages import Head

MAX_CONNECTIONS = 2000
"""Open connections of one worker; further ones are answered 503 at once."""
MAX_HELD = 32 * 1024 * 1024
"""Bytes held for clients that do not read, or do not finish a request; above it the longest held client is dropped."""


class TrackedConnection(Protocol):
    """A connection as the table sees it."""

    deadline: float
    """On the table's clock: when `time_out` is due."""

    def time_out(self) -> None: ...
    def close_idle(self) -> None: ...
    def abort(self) -> None: ...


class ConnectionTable:
    """Tracks the open connections of one worker, and what they share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shed: Callable[[], None]) -> None:
        """shed: counts a connection that is refused or dropped for lack of room."""
        self._loop = loop
        self._shed = shed
        self._open: set[TrackedConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._held: dict[TrackedConnection, int] = {}
        self.held_bytes = 0
        """Bytes held for all clients."""
        self.heads: dict[bytes, Head] = {}
        """Parsed heads by their bytes: clients send the same one again and again."""
        self.closing = False
        """Whether every response ends its connection."""
        self.now = loop.time()
        """Seconds on the loop's clock, at most as old as the last `tick`."""

    def tick(self) -> None:
        """Set the clock and time out the connections whose deadline has passed. Call it once a second."""
        self.now = self._loop.time()
        for connection in [item for item in self._open if item.deadline < self.now]:
            connection.time_out()

    def opened(self, connection: TrackedConnection) -> bool:
        """Add a connection; return whether there is room for it."""
        self._open.add(connection)
        self._empty.clear()
        if len(self._open) <= MAX_CONNECTIONS:
            return True
        self._shed()
        return False

    def closed(self, connection: TrackedConnection) -> None:
        """Remove a connection."""
        self._open.discard(connection)
        self.held_bytes -= self._held.pop(connection, 0)
        if not self._open:
            self._empty.set()

    def holds(self, connection: TrackedConnection, count: int) -> None:
        """Set the bytes that are held for a client; above MAX_HELD in all, drop the longest held one."""
        self.held_bytes += count - self._held.get(connection, 0)
        if count:
            self._held[connection] = count
        else:
            self._held.pop(connection, None)
        while self.held_bytes > MAX_HELD:
            oldest = next(iter(self._held))
            self.held_bytes -= self._held.pop(oldest)
            self._shed()
            oldest.abort()

    def close_idle(self) -> None:
        """Close the connections without a request."""
        for connection in list(self._open):
            connection.close_idle()

    async def drained(self, seconds: float) -> None:
        """Return when no connection is open, at the latest after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return

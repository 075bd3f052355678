"""One JSON line for each request on standard output: which ones is a setting.

A worker only keeps what a line needs. Once a second, or when there are many, a thread makes the lines and writes them,
so no answer waits for whoever reads them.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from app.request import Head

OFF, ERRORS, ALL = MODES = ("off", "errors", "all")
MANY = 1000
"""Lines that are not kept until the next second."""
MOST = 20_000
"""Lines that are kept at most while nobody reads; what comes on top is counted."""
ATOMIC = 4096
"""Bytes that a pipe takes as one, whatever other workers write meanwhile (PIPE_BUF)."""
LONGEST_PATH = 500
_FIRST_ERROR = 400
_encode = msgspec.json.Encoder().encode


class Seen(NamedTuple):
    """What there is to say of one request."""

    at: float
    request_id: bytes
    head: Head | None
    """None: it was never understood."""
    status: int
    seconds: float | None
    version: str | None
    client: str


class AccessLog:
    """The requests of one worker."""

    def __init__(self, mode: str, write: Callable[[bytes], object]) -> None:
        """mode: one of MODES. write: takes whole lines, ATOMIC bytes at most."""
        self.mode = mode
        self._write = write
        self._least = {OFF: 1000, ERRORS: _FIRST_ERROR, ALL: 0}[mode]
        self._seen: list[Seen] = []
        self._dropped = 0

    @property
    def many(self) -> bool:
        """Whether it is time to write before the second is over."""
        return len(self._seen) >= MANY

    def add(
        self,
        request_id: bytes,
        head: Head | None,
        status: int,
        began: float | None,
        version: str | None,
        client: str,
    ) -> None:
        """Keep a request that was answered now. began: on time.perf_counter()."""
        if status < self._least:
            return
        if len(self._seen) >= MOST:
            self._dropped += 1
            return
        seconds = None if began is None else time.perf_counter() - began
        self._seen.append(Seen(time.time(), request_id, head, status, seconds, version, client))

    def take(self) -> tuple[list[Seen], int]:
        """What was kept since the last time, and how many were not. For the thread that adds."""
        taken = self._seen, self._dropped
        self._seen, self._dropped = [], 0
        return taken

    def write(self, seen: list[Seen], dropped: int) -> None:
        """Write what was taken. For any thread."""
        for chunk in _chunks(map(_line, seen)):
            self._write(chunk)
        if dropped:
            self._write(_encode({"logger": "access", "dropped": dropped}) + b"\n")


def to_stdout(content: bytes) -> None:
    """Write to standard output, past everything that buffers."""
    os.write(1, content)


def _line(seen: Seen) -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seen.at))
    head = seen.head
    line = {
        "time": f"{stamp}.{int(seen.at % 1 * 1000):03d}Z",
        "level": "INFO",
        "logger": "access",
        "request_id": seen.request_id.decode(),
        "method": head.method.decode("latin-1") if head else None,
        # Without the query, which is nobody's business.
        "path": head.target.partition(b"?")[0][:LONGEST_PATH].decode("latin-1") if head else None,
        "status": seen.status,
        "ms": None if seen.seconds is None else round(seen.seconds * 1000, 2),
        "version": seen.version,
        "client": seen.client,
    }
    return _encode(line) + b"\n"


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and size + len(line) > ATOMIC:
            yield b"".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield b"".join(part)

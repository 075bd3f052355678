"""The access log: one JSON line for a request on standard output.

A worker formats the line at once. Once a second, or when there are many, a thread writes them, so no response waits
for the reader of the log.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.http.messages import Head

MANY = 1000
"""Lines that are written before the second is over."""
MOST = 20_000
"""Lines held at most while the reader is slow; further ones are dropped and counted."""
ATOMIC = 4096
"""Bytes that a pipe takes atomically, whatever other workers write (PIPE_BUF)."""
LONGEST_PATH = 500
MAX_KNOWN_PATHS = 512
_NOT_HTTP = b'"method":null,"path":null'
_encode = msgspec.json.Encoder().encode


class AccessLog:
    """The access log of one worker."""

    def __init__(self, least_status: int, write: Callable[[bytes], object]) -> None:
        """least_status: statuses below it leave no line. write: takes complete lines, ATOMIC bytes at most."""
        self.least_status = least_status
        self._write = write
        self._lines: list[bytes] = []
        self._dropped = 0
        self._second = 0
        self._stamp = b""
        self._known_paths: dict[tuple[bytes, bytes], bytes] = {}

    def add(
        self,
        request_id: bytes,
        head: Head | None,
        status: int,
        began: float | None,
        version: str | None,
        client: str,
    ) -> bool:
        """Add the line of a request that was answered now; return whether it is time to write.

        head: None for a request that could not be parsed. began: on time.perf_counter(), None for one that was not
        complete. version: the model that answered.
        """
        if status < self.least_status:
            return False
        if len(self._lines) >= MOST:
            self._dropped += 1
            return False
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        self._lines.append(
            b'{"time":"%b.%03dZ","level":"INFO","logger":"access","request_id":"%b",%b,"status":%d,"ms":%b,"version":%b,'
            b'"client":"%b"}\n'
            % (
                self._stamp,
                (now - second) * 1000,
                request_id,
                _NOT_HTTP if head is None else self._method_and_path(head),
                status,
                b"null" if began is None else b"%.2f" % ((time.perf_counter() - began) * 1000),
                b'"%b"' % version.encode() if version else b"null",
                client.encode(),
            )
        )
        return len(self._lines) >= MANY

    def take(self) -> tuple[list[bytes], int]:
        """Return and forget the lines since the last call, and the number of dropped ones. For the adding thread."""
        taken = self._lines, self._dropped
        self._lines, self._dropped = [], 0
        return taken

    def write(self, lines: Sequence[bytes], dropped: int) -> None:
        """Write the result of `take`. For any thread."""
        for chunk in _chunks(lines):
            self._write(chunk)
        if dropped:
            self._write(_encode({"logger": "access", "dropped": dropped}) + b"\n")

    def _method_and_path(self, head: Head) -> bytes:
        """Return both as members of a JSON object."""
        # Without the query: it may hold secrets.
        path = head.target.partition(b"?")[0][:LONGEST_PATH]
        known = self._known_paths.get((head.method, path))
        if known is None:
            if len(self._known_paths) >= MAX_KNOWN_PATHS:
                self._known_paths.clear()
            known = b'"method":%b,"path":%b' % (
                _encode(head.method.decode("latin-1")),
                _encode(path.decode("latin-1")),
            )
            self._known_paths[head.method, path] = known
        return known


def to_stdout(content: bytes) -> None:
    """Write to standard output, past every buffer."""
    os.write(1, content)


def _chunks(lines: Sequence[bytes]) -> Iterator[bytes]:
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

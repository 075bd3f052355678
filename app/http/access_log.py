"""One JSON line for each request on standard output: which ones is a setting.

A worker makes the line at once, from parts that it has made before. Once a second, or when there are many, a thread
writes them, so no answer waits for whoever reads them.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.http.messages import Head

OFF, ERRORS, ALL = MODES = ("off", "errors", "all")
LEAST_STATUS = {OFF: 1000, ERRORS: 400, ALL: 0}
"""Of the requests that leave a line."""
MANY = 1000
"""Lines that do not wait for the next second."""
MOST = 20_000
"""Lines that are kept at most while nobody reads; what comes on top is counted."""
ATOMIC = 4096
"""Bytes that a pipe takes as one, whatever other workers write meanwhile (PIPE_BUF)."""
LONGEST_PATH = 500
_NOT_HTTP = b'"method":null,"path":null'
_encode = msgspec.json.Encoder().encode


class AccessLog:
    """The requests of one worker."""

    def __init__(self, mode: str, write: Callable[[bytes], object]) -> None:
        """mode: one of MODES. write: takes whole lines, ATOMIC bytes at most."""
        self.least_status = LEAST_STATUS[mode]
        self._write = write
        self._lines: list[bytes] = []
        self._dropped = 0
        self._second = 0
        self._stamp = b""

    def add(
        self,
        request_id: bytes,
        head: Head | None,
        status: int,
        began: float | None,
        version: str | None,
        client: str,
    ) -> bool:
        """Keep the line of a request that was answered now; whether it is time to write.

        head: None when it was never understood. began: on time.perf_counter(); None when it never was a request.
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
                _what(head),
                status,
                b"null" if began is None else b"%.2f" % ((time.perf_counter() - began) * 1000),
                b'"%b"' % version.encode() if version else b"null",
                client.encode(),
            )
        )
        return len(self._lines) >= MANY

    def take(self) -> tuple[list[bytes], int]:
        """The lines since the last time, and how many were not kept. For the thread that adds."""
        taken = self._lines, self._dropped
        self._lines, self._dropped = [], 0
        return taken

    def write(self, lines: Sequence[bytes], dropped: int) -> None:
        """Write what was taken. For any thread."""
        for chunk in _chunks(lines):
            self._write(chunk)
        if dropped:
            self._write(_encode({"logger": "access", "dropped": dropped}) + b"\n")


def to_stdout(content: bytes) -> None:
    """Write to standard output, past everything that buffers."""
    os.write(1, content)


def _what(head: Head | None) -> bytes:
    """Method and path as members of a JSON object; kept with the head, which may come again."""
    if head is None:
        return _NOT_HTTP
    if head.logged is None:
        # Without the query, which is nobody's business.
        path = head.target.partition(b"?")[0][:LONGEST_PATH].decode("latin-1")
        head.logged = b'"method":%b,"path":%b' % (_encode(head.method.decode("latin-1")), _encode(path))
    return head.logged


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

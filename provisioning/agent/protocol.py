"""The protocol of client and agent: exit codes, frames, and the base of all requests."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Generic, Optional, TypeVar, get_args

Answer = TypeVar("Answer")


class Exit(IntEnum):
    """Exit codes of a request. A code below is never that of a command the request runs, but for `RunStep`."""

    OK = 0
    FAILED = 1
    DISK_FULL = 28
    INCOMPLETE = 74
    """The input ended early."""
    LOCKED = 75
    LOCK_BROKEN = 76
    TIMED_OUT = 124
    HUNG_UP = 129
    """The client went away."""
    TERMINATED = 143


class Request(Generic[Answer]):
    """A request to the agent. The type parameter is that of its answer; None: it has streams and an exit code."""


def answer_type(request: Request[Answer]) -> type[Answer]:
    """Return the dataclass that answers a request."""
    (base,) = type(request).__orig_bases__  # type: ignore[attr-defined]
    (found,) = get_args(base)
    return found  # type: ignore[no-any-return]


class Refused(Exception):
    """A request that cannot be carried out: its text goes to standard error, its code becomes the exit code."""

    def __init__(self, reason: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(reason)
        self.code = code


class Frame:
    """Kinds of frames. To the host: START to CLOSE, from it: OUTPUT to EXIT."""

    START = b"S"
    """JSON: {"name", "fields", "shared", "seconds"}; `shared` has further fields, each the number of a VALUE.

    After `seconds`, unless null, the run is killed with its process group.
    """
    VALUE = b"V"
    """JSON of a field that several requests have; its number is one of the connection's values, not of a run."""
    INPUT = b"I"
    END_OF_INPUT = b"E"
    CLOSE = b"C"
    """Close the streams of the run."""
    OUTPUT = b"O"
    ERRORS = b"R"
    EXIT = b"X"
    """The exit code as text; KILLED for a run that a signal ended."""


KILLED = -1
READY = b"ready\n"
"""What a server prints first."""
_HEAD = struct.Struct(">cIi")


def pack(kind: bytes, run: int, content: bytes = b"") -> bytes:
    """Return a frame: its kind, the number of its run, the length of its content, and the content."""
    return _HEAD.pack(kind, run, len(content)) + content


def start_text(
    request: Request[Any], seconds: Optional[float] = None, shared: Optional[dict[str, int]] = None
) -> bytes:
    """Return the content of a START frame. shared: field -> number of the VALUE that has it."""
    shared = shared or {}
    fields = {name: value for name, value in vars(request).items() if name not in shared}
    content = {"name": type(request).__name__, "fields": fields, "shared": shared, "seconds": seconds}
    return json.dumps(content, default=vars).encode()


class Unpacker:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield kind, run and content of each frame that is whole with this chunk."""
        self._rest += chunk
        while len(self._rest) >= _HEAD.size:
            kind, run, length = _HEAD.unpack_from(self._rest)
            end = _HEAD.size + length
            if len(self._rest) < end:
                return
            content, self._rest = self._rest[_HEAD.size : end], self._rest[end:]
            yield kind, run, content

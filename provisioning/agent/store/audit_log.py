"""The host's audit log: one line for each thing that somebody did, each carrying the SHA-256 of the line before it.

Part of the scripts that need it. A line that was changed or taken out shows when the log is read.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
from typing import Any


def line_digest(line: bytes) -> str:
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def last_line(descriptor: int) -> bytes:
    """The last line of the log, without reading the whole of a long one."""
    size = os.fstat(descriptor).st_size
    taken = 1 << 16
    while True:
        start = max(0, size - taken)
        tail = os.pread(descriptor, size - start, start).rstrip(b"\n")
        if start == 0 or b"\n" in tail:
            return tail.rpartition(b"\n")[2]
        taken *= 4


def append_audit(root: str, entry: dict[str, Any]) -> None:
    """One line at the end, in one write and under a lock of its own, on disk when this returns."""
    descriptor = os.open(os.path.join(root, "audit.jsonl"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = last_line(descriptor)
        size = os.fstat(descriptor).st_size
        # A line that a crash cut off gets an end of its own, so that it spoils no other.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        line = {
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "from": os.environ.get("SSH_CONNECTION", "").split(" ")[0],
            **entry,
            "after": line_digest(before) if before else "",
        }
        text = ("\n" if torn else "") + json.dumps(line, sort_keys=True) + "\n"
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

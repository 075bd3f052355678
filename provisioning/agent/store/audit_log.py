"""The audit log of a host: a hash chain, each line carries the SHA-256 of the line before it."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
from typing import Any


def audit_path(root: str) -> str:
    """Return the path of the audit log."""
    return os.path.join(root, "audit.jsonl")


def line_digest(line: bytes) -> str:
    """Return the SHA-256 of a line without its end, in hex."""
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def append_audit(root: str, entry: dict[str, Any]) -> None:
    """Append a line in one write under the log's own lock; it is on disk when this returns."""
    descriptor = os.open(audit_path(root), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = _last_line(descriptor)
        size = os.fstat(descriptor).st_size
        # A line that a crash cut short is ended first, so that it spoils no other.
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


def _last_line(descriptor: int) -> bytes:
    """Return the last line, without reading all of a long log."""
    size = os.fstat(descriptor).st_size
    taken = 1 << 16
    while True:
        start = max(0, size - taken)
        tail = os.pread(descriptor, size - start, start).rstrip(b"\n")
        if start == 0 or b"\n" in tail:
            return tail.rpartition(b"\n")[2]
        taken *= 4

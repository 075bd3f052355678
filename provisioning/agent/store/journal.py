"""The host's journal: a line before and a line after each step, written by the step itself.

Part of the scripts that need it. A step that goes on after its client is gone still writes how it ended, and
keeps others out until then.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any


def append(path: str, entry: dict[str, Any]) -> None:
    """One line at the end of a journal, on disk when this returns; a line that was cut short stays its own."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    text = json.dumps({"at": at, **entry}, sort_keys=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        text = "\n" + text
    os.write(descriptor, text.encode() + b"\n")
    os.fsync(descriptor)
    os.close(descriptor)


def hold_steps(root: str) -> int:
    """Keep others from taking the lock until this process ends, whatever becomes of its client."""
    descriptor = os.open(os.path.join(root, "steps.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


class Journal:
    """The lines of one step. `note` is {"root", "push", "release", "step"}; without one nothing is written."""

    def __init__(self, note: dict[str, Any] | None) -> None:
        self.note = note
        self.started = time.monotonic()

    def begin(self) -> None:
        self.started = time.monotonic()
        if self.note:
            self.lock = hold_steps(self.note["root"])
        self._write({"state": "begin"})

    def end(self, status: int = 0) -> None:
        self._write({"state": "end", "status": status, "seconds": round(time.monotonic() - self.started, 2)})

    def _write(self, more: dict[str, Any]) -> None:
        if self.note:
            entry = {name: value for name, value in self.note.items() if name != "root"}
            append(os.path.join(self.note["root"], "journal.jsonl"), {**entry, **more})

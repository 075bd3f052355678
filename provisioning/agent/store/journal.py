"""The journal of a host: a line before and a line after each step, written by the step itself.

A step that outlives its client still writes how it ended, and keeps others from taking the lock until then.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Optional

from provisioning.agent.codec import Malformed, from_json, is_newer, parse
from provisioning.agent.protocol import Refused
from provisioning.agent.store.journal_entry import SCHEMA, JournalEntry, JournalStep


def journal_path(root: str) -> str:
    """Return the path of the journal."""
    return os.path.join(root, "journal.jsonl")


def append(root: str, entry: JournalEntry) -> None:
    """Append an entry; it is on disk when this returns. A line that a crash cut short is ended first."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    text = json.dumps(replace(entry, at=at).stored(), sort_keys=True)
    descriptor = os.open(journal_path(root), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        text = "\n" + text
    os.write(descriptor, text.encode() + b"\n")
    os.fsync(descriptor)
    os.close(descriptor)


def read_lines(root: str) -> list[str]:
    """Return the journal's lines; none when there is no journal."""
    try:
        with open(journal_path(root), encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def entries_in(lines: Iterable[str]) -> Iterator[JournalEntry]:
    """Yield the entries in lines, without those that a crash cut short. Raises Refused for a newer schema."""
    for line in lines:
        try:
            value = parse(line)
            if is_newer(value, SCHEMA):
                schema = value["schema"]
                raise Refused(
                    f"the journal has schema {schema}, this version reads up to {SCHEMA}; use a newer onebox"
                )
            entry = from_json(JournalEntry, value)
        except Malformed:
            continue
        yield entry


def hold_steps(root: str) -> int:
    """Keep others from taking the lock until this process ends, also without its client."""
    descriptor = os.open(os.path.join(root, "steps.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


class Journal:
    """The lines of one step; without a step nothing is written."""

    def __init__(self, root: str, step: Optional[JournalStep]) -> None:
        self._root = root
        self._step = step
        self._started = time.monotonic()
        self._lock = -1

    def begin(self) -> None:
        """Hold the steps' lock, and journal that the step begins."""
        self._started = time.monotonic()
        if self._step:
            self._lock = hold_steps(self._root)
        self._append("begin")

    def end(self, status: int = 0) -> None:
        """Journal that the step ended."""
        self._append("end", status, round(time.monotonic() - self._started, 2))

    def _append(self, state: str, status: Optional[int] = None, seconds: Optional[float] = None) -> None:
        if self._step:
            entry = JournalEntry(**vars(self._step), state=state, status=status, seconds=seconds)
            append(self._root, entry)

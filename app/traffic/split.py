"""The active traffic split: pushed, or changed at run time. One for all workers, stored over restarts.

`split.json` in the data directory holds the salt of the assignment and the last change. A change is active until it is
reverted, or until a release pushes other weights.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import secrets
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "split.json"
AUDIT = "audit.jsonl"
_GENERATION = "split.bin"

Weights = tuple[int, int]


class Change(msgspec.Struct, frozen=True):
    """A change of the split at run time."""

    weights: Weights
    pushed: Weights
    """Weights of the release at that time; a release with others ends the change."""
    time: str
    by: str


class _Stored(msgspec.Struct, frozen=True):
    salt: str
    change: Change | None = None


class LiveSplit:
    """The split as one worker sees it; `generation` reveals a change by another worker."""

    def __init__(self, state_dir: Path, data_dir: Path, pushed: Weights) -> None:
        """state_dir: shared by the workers; data_dir: persistent. Both are created where missing."""
        for directory in (state_dir, data_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.pushed = pushed
        self._data_dir = data_dir
        self._file = os.open(state_dir / _GENERATION, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, 8)
        self._cells = memoryview(mmap.mmap(self._file, 8)).cast("q")
        with self._locked():
            stored = self._read()
            if stored is None:
                stored = _Stored(secrets.token_hex(16))
                self._write(stored)
            elif stored.change is not None and stored.change.pushed != pushed:
                # Deleted: a later release with the former weights must not restore the change.
                self._write(_Stored(stored.salt))
                self._note("push", stored.change.weights, pushed)
        self.salt = bytes.fromhex(stored.salt)

    @property
    def generation(self) -> int:
        """Return the counter of changes in shared memory."""
        return self._cells[0]

    @property
    def change(self) -> Change | None:
        """Return the active change; None while the pushed weights are active."""
        stored = self._read()
        if stored is None or stored.change is None or stored.change.pushed != self.pushed:
            return None
        return stored.change

    @property
    def weights(self) -> Weights:
        """Return the active weights."""
        change = self.change
        return change.weights if change else self.pushed

    def set(self, weights: Weights | None, by: str) -> None:
        """Activate these weights, or the pushed ones (None), for all workers and over restarts.

        by: the author, for the audit log.
        """
        with self._locked():
            stored = self._read()
            before = self.weights
            change = None if weights is None else Change(weights, self.pushed, _now(), by)
            self._write(_Stored(stored.salt if stored else self.salt.hex(), change))
            self._note(by, before, weights or self.pushed)
            self._cells[0] += 1

    def _note(self, by: str, before: Weights, after: Weights) -> None:
        line = {"time": _now(), "action": "split", "by": by, "before": before, "after": after}
        with (self._data_dir / AUDIT).open("a", encoding="utf-8") as audit:
            audit.write(json.dumps(line) + "\n")
            audit.flush()
            os.fsync(audit.fileno())

    def _read(self) -> _Stored | None:
        try:
            return msgspec.json.decode((self._data_dir / FILE).read_bytes(), type=_Stored)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _write(self, stored: _Stored) -> None:
        handle, part = tempfile.mkstemp(dir=self._data_dir, prefix=f".{FILE}.")
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(stored))
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(self._data_dir / FILE)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._data_dir / f".{FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

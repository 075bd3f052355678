"""The split that is in force: as pushed, or as changed at run time; one for all workers, kept over restarts.

`split.json` in the data directory holds the salt of the assignment and the last change. A change holds until it is
taken back, or until a release comes that pushes other weights: then the push wins.
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
    """A split that was set at run time."""

    weights: Weights
    pushed: Weights
    """What it took the place of; another push ends it."""
    time: str
    by: str


class _Kept(msgspec.Struct, frozen=True):
    salt: str
    change: Change | None = None


class LiveSplit:
    """One worker's view of the split; a change by another worker shows at the next look at `generation`."""

    def __init__(self, state_dir: Path, data_dir: Path, pushed: Weights) -> None:
        """state_dir: shared by the workers of one service; data_dir: survives it. Both are made where missing."""
        for directory in (state_dir, data_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.pushed = pushed
        self._data_dir = data_dir
        self._file = os.open(state_dir / _GENERATION, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, 8)
        self._cells = memoryview(mmap.mmap(self._file, 8)).cast("q")
        with self._locked():
            kept = self._read()
            if kept is None:
                kept = _Kept(secrets.token_hex(16))
                self._write(kept)
            elif kept.change is not None and kept.change.pushed != pushed:
                # For good: the same weights pushed again later must not bring it back.
                self._write(_Kept(kept.salt))
                self._note("push", kept.change.weights, pushed)
        self.salt = bytes.fromhex(kept.salt)

    @property
    def generation(self) -> int:
        """Grows with every change; reading it costs next to nothing."""
        return self._cells[0]

    @property
    def change(self) -> Change | None:
        """The change that is in force; None while the pushed weights are."""
        kept = self._read()
        if kept is None or kept.change is None or kept.change.pushed != self.pushed:
            return None
        return kept.change

    @property
    def weights(self) -> Weights:
        """The weights in force."""
        change = self.change
        return change.weights if change else self.pushed

    def set(self, weights: Weights | None, by: str) -> None:
        """Put these weights, or the pushed ones (None), in force for all workers and over restarts.

        Who did it goes into the audit log.
        """
        with self._locked():
            kept = self._read()
            before = self.weights
            change = None if weights is None else Change(weights, self.pushed, _now(), by)
            self._write(_Kept(kept.salt if kept else self.salt.hex(), change))
            self._note(by, before, weights or self.pushed)
            self._cells[0] += 1

    def _note(self, by: str, before: Weights, after: Weights) -> None:
        line = {"time": _now(), "action": "split", "by": by, "before": before, "after": after}
        with (self._data_dir / AUDIT).open("a", encoding="utf-8") as audit:
            audit.write(json.dumps(line) + "\n")
            audit.flush()
            os.fsync(audit.fileno())

    def _read(self) -> _Kept | None:
        try:
            return msgspec.json.decode((self._data_dir / FILE).read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _write(self, kept: _Kept) -> None:
        handle, part = tempfile.mkstemp(dir=self._data_dir, prefix=f".{FILE}.")
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(kept))
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

"""Ring buffer of answered rows in shared memory: one memory-mapped file for each worker, read by other processes.

A record takes its writer about a microsecond and no lock between processes. Readers use plain reads of the file: a
slow, killed or absent reader has no effect on predictions. Records that it was too slow for are overwritten and counted
as missed. A ring is leased: the worker that replaces a dead one continues its file, records included.

Layout, version 1, little endian. Header of 64 bytes:

    0  magic `oneboxR1`      8  feature count (int64)      16  slot count (int64)     24  record size (int64)
   32  head: sequence of the last whole record, 0 at first (int64)                    40  zeros

then `slot count` records; slot (s - 1) % slots holds the one with sequence s:

    0  sequence (int64), counted from 1; 0 while the record is being written
    8  time (int64), Unix time in nanoseconds
   16  prediction id (16 bytes; clients see them as 32 hex digits)
   32  latency (float32), seconds from the request's body to its answer's
   36  class index (int16), in the manifest's order; FAILED when the model failed
   38  arm (uint8), index into `app.manifest.VERSIONS`
   39  reason of the assignment (uint8), index into REASONS
   40  synthetic (uint8), 1 for smoke tests, probes, demos and forced versions: not for drift, not for the experiment
   41  zeros (3 bytes)
   44  features (float32 each), then zeros up to a multiple of 8

The writer sets the sequence to 0, then the rest, then the sequence, then the head. A record is whole where a reader
finds the same sequence above 0 before and after the copy.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.shm.leased_file import claim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAGIC = b"oneboxR1"
HEADER_SIZE = 64
_HEADER = struct.Struct("<8sqqq")
_HEAD = 32 // 8
FIXED = "<q16sfhBBB3x"
"""A record without its sequence and its features."""
SLOTS = 8192
"""Records of a ring: a worker may answer so many rows between two reads before some are missed."""
REASONS = ("split", "sticky", "forced", "fallback")
FAILED = -1
PATTERN = "ring-*.bin"

Records = np.ndarray[tuple[int], np.dtype[np.void]]


def record_type(features: int) -> np.dtype[np.void]:
    """Return the numpy type of a record; `features` is one field of that many float32."""
    return np.dtype(
        {
            "names": [
                *("sequence", "time", "prediction_id", "latency", "class_index", "arm", "why", "synthetic"),
                "features",
            ],
            "formats": ["<i8", "<i8", "V16", "<f4", "<i2", "u1", "u1", "?", ("<f4", (features,))],
            "offsets": [0, 8, 16, 32, 36, 38, 39, 40, 44],
            "itemsize": (44 + 4 * features + 7) // 8 * 8,
        }
    )


class RingWriter:
    """The ring of one worker. Safe to use from several threads."""

    def __init__(self, directory: Path, features: int, slots: int = SLOTS) -> None:
        """Lease a ring file, created where none is free. The directory must exist."""
        self._file = claim(directory, "ring")
        self._record = struct.Struct(f"{FIXED}{features}f")
        self._size = record_type(features).itemsize
        self._slots = slots
        header = _HEADER.pack(MAGIC, features, slots, self._size)
        size = HEADER_SIZE + slots * self._size
        if os.pread(self._file, len(header), 0) != header or os.fstat(self._file).st_size != size:
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, size)
            os.pwrite(self._file, header, 0)
        self._map = mmap.mmap(self._file, size)
        # Records are multiples of 8 bytes, so every sequence is a cell of this view.
        self._cells = memoryview(self._map).cast("q")
        self._head = self._cells[_HEAD]
        self._lock = threading.Lock()

    def append(
        self,
        *,
        time_ns: int,
        prediction_id: bytes,
        latency: float,
        class_index: int,
        arm: int,
        why: int,
        synthetic: bool,
        row: Sequence[float],
    ) -> None:
        """Overwrite the oldest record with one answered row; the arguments are the fields of the layout."""
        with self._lock:
            offset = HEADER_SIZE + self._head % self._slots * self._size
            cells = self._cells
            cells[offset >> 3] = 0
            self._record.pack_into(
                self._map, offset + 8, time_ns, prediction_id, latency, class_index, arm, why, synthetic, *row
            )
            self._head += 1
            cells[offset >> 3] = self._head
            cells[_HEAD] = self._head

    def close(self) -> None:
        """Release the ring to another worker."""
        self._cells.release()
        self._map.close()
        os.close(self._file)


@dataclass(frozen=True)
class NewRecords:
    """Whole records in the order in which they were written, and the number of overwritten ones before them."""

    records: Records
    missed: int


class RingReader:
    """Reads one ring from its oldest record on."""

    def __init__(self, path: Path, features: int, seen: int = 0) -> None:
        """seen: sequence of the last record that was read before."""
        self._path = path
        self._features = features
        self._type = record_type(features)
        self._seen = seen

    @property
    def seen(self) -> int:
        """Return the sequence of the last record that was read or missed: where another reader may continue."""
        return self._seen

    def take(self, limit: int = SLOTS) -> NewRecords:
        """Return the next records, `limit` at most; none where the file is not a ring of this shape."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return NewRecords(np.empty(0, self._type), 0)
        try:
            return self._take(file, limit)
        finally:
            os.close(file)

    def _take(self, file: int, limit: int) -> NewRecords:
        found = _slots_and_head(file, self._features)
        if found is None:
            return NewRecords(np.empty(0, self._type), 0)
        slots, head = found
        if head < self._seen:
            # The file was created again.
            self._seen = 0
        first = max(self._seen, head - slots)
        last = min(head, first + limit)
        records = _whole(file, self._type, slots, first, last)
        # A slot that was overwritten since the head was read holds a later record: the next call returns it.
        records = records[(records["sequence"] > first) & (records["sequence"] <= last)]
        missed = last - self._seen - len(records)
        self._seen = last
        return NewRecords(records, missed)


def recent(directory: Path, features: int, count: int, *, synthetic: bool = False) -> Records:
    """Return the last `count` answered rows of all rings in a directory, oldest first. synthetic: include those."""
    kind = record_type(features)
    found = [_of_ring(path, kind, features, synthetic) for path in sorted(directory.glob(PATTERN))]
    if not found:
        return np.empty(0, kind)
    records = np.concatenate(found)
    order = np.argsort(records["time"], kind="stable")[-count:]
    return records[order]


def _of_ring(path: Path, kind: np.dtype[np.void], features: int, synthetic: bool) -> Records:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return np.empty(0, kind)
    try:
        found = _slots_and_head(file, features)
        if found is None:
            return np.empty(0, kind)
        slots, head = found
        records = _whole(file, kind, slots, max(0, head - slots), head)
    finally:
        os.close(file)
    wanted: NDArray[np.bool_] = (records["class_index"] != FAILED) & (synthetic | ~records["synthetic"])
    return records[wanted]


def _slots_and_head(file: int, features: int) -> tuple[int, int] | None:
    """Return slot count and head; None where the file is not a ring of records with that many features."""
    header = os.pread(file, HEADER_SIZE, 0)
    if len(header) < HEADER_SIZE:
        return None
    magic, found, slots, size = _HEADER.unpack_from(header)
    whole = os.fstat(file).st_size == HEADER_SIZE + slots * size
    if magic != MAGIC or found != features or size != record_type(features).itemsize or not whole:
        return None
    (head,) = struct.unpack_from("<q", header, _HEAD * 8)
    return slots, head


def _whole(file: int, kind: np.dtype[np.void], slots: int, first: int, last: int) -> Records:
    """Return the whole records of the sequences first + 1 … last, where last - first is at most `slots`."""
    before = _copy(file, kind, slots, first, last)
    after = _copy(file, kind, slots, first, last)
    count = min(len(before), len(after))
    before, after = before[:count], after[:count]
    same: NDArray[np.bool_] = (before["sequence"] > 0) & (before["sequence"] == after["sequence"])
    return before[same]


def _copy(file: int, kind: np.dtype[np.void], slots: int, first: int, last: int) -> Records:
    start, count = first % slots, last - first
    parts = [(start, min(count, slots - start)), (0, max(0, start + count - slots))]
    content = b"".join(
        os.pread(file, number * kind.itemsize, HEADER_SIZE + slot * kind.itemsize) for slot, number in parts
    )
    return np.frombuffer(content, kind, len(content) // kind.itemsize)

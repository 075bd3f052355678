"""The recorder: a process that writes the prediction log and scores every row with the other model (shadow scoring).

It reads the ring buffers of the workers, so no request waits for it and its death affects no prediction: a ring keeps a
row until its worker has answered `app.shm.ring_buffer.SLOTS` more. Rows that are overwritten before they are read are
lost and counted. The log holds the read position, written in the transaction of the rows: a restart repeats and skips
nothing.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from app.errors import ModelFailedError
from app.experiment.aggregates import add_to_totals
from app.experiment.log_store import add_predictions, connect, prune, transaction
from app.experiment.recorder_status import RecorderStatus, read_status, write_status
from app.inference.models import ModelSet, load_models
from app.manifest import MANIFEST, VERSIONS
from app.settings import ApiSettings, data_dir, rings_dir
from app.shm.leased_file import is_claimed
from app.shm.ring_buffer import FAILED, PATTERN, RingReader
from app.traffic.split import LiveSplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.manifest import Manifest
    from app.shm.ring_buffer import Records

POLL_SECONDS = 0.2
PRUNE_SECONDS = 30.0
NICENESS = 10
FORGOTTEN_SECONDS = 3600.0
"""Age after which unused rings of former models are deleted."""
LOCK = "recorder.lock"
DAY_NS = 86_400 * 10**9
log = logging.getLogger("app")


@dataclass
class _Source:
    """A manifest whose rings are read."""

    models: ModelSet
    manifest: Manifest
    sha256: str
    directory: Path
    id: int
    readers: dict[str, RingReader] = field(default_factory=dict)


class Recorder:
    """Writes the workers' answered rows to the log. One for a data directory."""

    def __init__(self, settings: ApiSettings) -> None:
        """Open the log, created where missing, and continue where the last recorder stopped."""
        self._settings = settings
        self._data_dir = data_dir(settings)
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = connect(self._data_dir)
        self._split = LiveSplit(settings.state_dir, self._data_dir, settings.weights)
        self._split_seen = -1
        self._sources: list[_Source] = []
        self._models_seen: tuple[int, ...] | None = None
        last = read_status(settings.state_dir)
        self.status = msgspec.structs.replace(last, starts=last.starts + 1)

    def record_new(self) -> int:
        """Write the rows that were answered since the last call; return their number."""
        self._update_sources()
        split_before, weights = self._split.generation, self._split.weights
        taken = [(source, *self._take(source)) for source in self._sources]
        # While the split changes, and at the first call, the split of a row's assignment is unknown.
        settled = self._split_seen == split_before == self._split.generation
        self._split_seen = split_before
        recorded = shed = compared = disagreed = 0
        with transaction(self._log):
            for source, records, missed, positions in taken:
                others = self._shadow(source, records)
                self._keep(source, records, others)
                counted = add_to_totals(self._log, source.id, records, others, weights if settled else None)
                self._log.executemany("INSERT OR REPLACE INTO rings VALUES (?, ?)", positions)
                recorded += len(records)
                shed += missed
                compared += counted.compared
                disagreed += counted.disagreed
        self.status = RecorderStatus(
            time_ns=time.time_ns(),
            starts=self.status.starts,
            recorded=self.status.recorded + recorded,
            shed=self.status.shed + shed,
            compared=self.status.compared + compared,
            disagreed=self.status.disagreed + disagreed,
        )
        write_status(self._settings.state_dir, self.status)
        return recorded

    def prune(self) -> int:
        """Delete rows beyond the bounds of the log, and rings of former models; return the number of deleted rows."""
        followed = {source.directory for source in self._sources}
        for directory in rings_dir(self._settings).iterdir():
            old = time.time() - directory.stat().st_mtime > FORGOTTEN_SECONDS
            if old and directory not in followed and not in_use(directory):
                shutil.rmtree(directory, ignore_errors=True)
        oldest = time.time_ns() - self._settings.log_days * DAY_NS
        return prune(self._log, rows=self._settings.log_rows, oldest_ns=oldest)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _update_sources(self) -> None:
        """Put the active manifest first; former ones stay until their rings are unused."""
        try:
            found = os.stat(self._settings.models_dir / MANIFEST)  # noqa: PTH116 - of the link's target
            mark = (found.st_dev, found.st_ino, found.st_mtime_ns)
        except OSError:
            return
        if mark == self._models_seen:
            return
        models = load_models(self._settings.models_dir)
        if models.catalogue is None:
            return
        self._models_seen = mark
        catalogue = models.catalogue
        if any(source.sha256 == catalogue.sha256 for source in self._sources):
            return
        source = _Source(
            models=models,
            manifest=catalogue.manifest,
            sha256=catalogue.sha256,
            directory=rings_dir(self._settings) / catalogue.sha256[:16],
            id=self._manifest_id(catalogue.sha256, catalogue.manifest),
        )
        # Workers may refuse the new models and keep the former; the last ones may have unread rows in any case.
        self._sources = [
            source,
            *self._sources[:1],
            *(old for old in self._sources[1:] if in_use(old.directory)),
        ]

    def _manifest_id(self, sha256: str, manifest: Manifest) -> int:
        same = len({entry.sha256 for entry in manifest.models.values()}) == 1
        self._log.execute(
            "INSERT OR IGNORE INTO manifests (sha256, features, classes, same_model, since_ns) VALUES (?, ?, ?, ?, ?)",
            (
                sha256,
                msgspec.json.encode(manifest.feature_names).decode(),
                msgspec.json.encode(manifest.classes).decode(),
                same,
                time.time_ns(),
            ),
        )
        (number,) = self._log.execute("SELECT id FROM manifests WHERE sha256 = ?", (sha256,)).fetchone()
        return int(number)

    def _take(self, source: _Source) -> tuple[Records, int, list[tuple[str, int]]]:
        parts: list[Records] = []
        missed = 0
        features = len(source.manifest.features)
        for path in sorted(source.directory.glob(PATTERN)):
            name = f"{source.directory.name}/{path.name}"
            if name not in source.readers:
                found = self._log.execute("SELECT seen FROM rings WHERE path = ?", (name,)).fetchone()
                source.readers[name] = RingReader(path, features, found[0] if found else 0)
            taken = source.readers[name].take()
            parts.append(taken.records)
            missed += taken.missed
        records = np.concatenate(parts) if parts else np.empty(0, dtype=np.dtype([("time", "<i8")]))
        positions = [(name, reader.seen) for name, reader in source.readers.items()]
        return records[np.argsort(records["time"], kind="stable")], missed, positions

    def _shadow(self, source: _Source, records: Records) -> list[int | None]:
        """Return the prediction of the other model for each row; None where there is none."""
        others: list[int | None] = [None] * len(records)
        for arm, version in enumerate(VERSIONS):
            model = source.models.arms.get(version)
            if model is None or not len(records):
                continue
            wanted = np.flatnonzero(
                (records["arm"] != arm) & ~records["synthetic"] & (records["class_index"] != FAILED)
            )
            if not len(wanted):
                continue
            try:
                scored = model.score_rows(records["features"][wanted].tolist())
            except ModelFailedError as error:
                log.warning("shadow: %s: %s", error, error.why)
                continue
            for position, (index, _) in zip(wanted.tolist(), scored, strict=True):
                others[position] = index
        return others

    def _keep(self, source: _Source, records: Records, others: list[int | None]) -> None:
        if not len(records):
            return
        columns = (
            records[name].tolist() for name in ("time", "arm", "why", "synthetic", "latency", "class_index")
        )
        add_predictions(
            self._log,
            [
                (bytes(name), source.id, when, arm, why, synthetic, latency, answer, other, row.tobytes())
                for name, (when, arm, why, synthetic, latency, answer), other, row in zip(
                    records["prediction_id"],
                    zip(*columns, strict=True),
                    others,
                    records["features"],
                    strict=True,
                )
            ],
        )


def in_use(directory: Path) -> bool:
    """Return whether a worker has a lease of a ring in this directory."""
    return any(is_claimed(path) for path in directory.glob(PATTERN))


def run(settings: ApiSettings) -> int:
    """Record in this process until SIGTERM, or until the parent process ends. Return 0 after a stop, 1 on failure."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # Ctrl-C and a reload reach all processes: the parent sends SIGTERM after the last request, new models are polled.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.nice(NICENESS)
    try:
        with _exclusive(data_dir(settings), stop) as locked:
            if locked:
                record(Recorder(settings), stop)
    except (sqlite3.Error, OSError) as error:
        log.critical("recorder: %s", error)
        return 1
    return 0


@contextmanager
def _exclusive(directory: Path, stop: threading.Event) -> Iterator[bool]:
    """Lock the log once the recorder of an earlier generation has ended; yield False after a stop instead."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = os.getppid()
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        locked = False
        while not locked and not stop.is_set() and os.getppid() == server:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except BlockingIOError:
                stop.wait(POLL_SECONDS)
        yield locked
    finally:
        os.close(lock)


def record(recorder: Recorder, stop: threading.Event) -> None:
    """Record until `stop` is set; rows that were answered before are written before this returns."""
    server = os.getppid()
    pruned = time.monotonic()
    try:
        while not stop.wait(POLL_SECONDS) and os.getppid() == server:
            recorder.record_new()
            if time.monotonic() - pruned > PRUNE_SECONDS:
                # A log far beyond its bounds is pruned in small steps.
                pruned = time.monotonic() if recorder.prune() == 0 else pruned
        recorder.record_new()
    finally:
        recorder.close()

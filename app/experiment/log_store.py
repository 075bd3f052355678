"""The prediction log: one SQLite file on the data volume, bounded in rows and in age.

The recorder writes predictions, many in a transaction; the workers write labels, one at a time. In WAL mode neither
blocks readers. `other` is the prediction of the model that did not answer; null where that model is unavailable or the
row is synthetic.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE = "predictions.db"
BUSY_SECONDS = 5.0
MOST_LABELS = 100_000
"""Most labels: the experiment needs labelled rows, so they outlast the others up to this number."""
AT_ONCE = 5_000
"""Rows that one call of `prune` deletes at most, so that no write waits long for it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS manifests (
    id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, features TEXT NOT NULL, classes TEXT NOT NULL,
    same_model INTEGER NOT NULL, since_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS predictions (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, manifest INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    arm INTEGER NOT NULL, why INTEGER NOT NULL, synthetic INTEGER NOT NULL, latency REAL NOT NULL,
    answer INTEGER NOT NULL, other INTEGER, features BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS predictions_by_time ON predictions (time_ns);
CREATE TABLE IF NOT EXISTS labels (
    id BLOB PRIMARY KEY, label INTEGER NOT NULL, time_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rings (path TEXT PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arms (
    manifest INTEGER NOT NULL, arm INTEGER NOT NULL, answered INTEGER NOT NULL, errors INTEGER NOT NULL,
    compared INTEGER NOT NULL, disagreed INTEGER NOT NULL, PRIMARY KEY (manifest, arm)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latencies (
    manifest INTEGER NOT NULL, arm INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (manifest, arm, bucket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS assigned (
    manifest INTEGER NOT NULL, first_weight INTEGER NOT NULL, second_weight INTEGER NOT NULL,
    first INTEGER NOT NULL, second INTEGER NOT NULL,
    PRIMARY KEY (manifest, first_weight, second_weight)) WITHOUT ROWID;
"""

Prediction = tuple[bytes, int, int, int, int, bool, float, int, int | None, bytes]
"""id, manifest, time_ns, arm, why, synthetic, latency, answer, other, features as float32"""


def connect(directory: Path) -> sqlite3.Connection:
    """Open the log of a data directory, created where missing. Transactions are explicit: see `transaction`."""
    connection = sqlite3.connect(
        directory / FILE, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    # A crash of the service loses nothing; a power failure may lose the last transactions, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    connection.executescript(_SCHEMA)
    return connection


@contextmanager
def opened(directory: Path) -> Iterator[sqlite3.Connection]:
    """Open the log and close it at the end."""
    with closing(connect(directory)) as connection:
        yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run an atomic transaction; wait for another writer, BUSY_SECONDS at most."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def add_predictions(connection: sqlite3.Connection, rows: Sequence[Prediction]) -> None:
    """Insert predictions; one with a known id is ignored."""
    connection.executemany(
        "INSERT OR IGNORE INTO predictions "
        "(id, manifest, time_ns, arm, why, synthetic, latency, answer, other, features) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def prune(connection: sqlite3.Connection, *, rows: int, oldest_ns: int) -> int:
    """Delete predictions before `oldest_ns` and beyond the newest `rows`; return their number, bounded by AT_ONCE.

    Labelled predictions are deleted by age only, labels by age and beyond the newest MOST_LABELS.
    """
    with transaction(connection):
        (newest,) = connection.execute("SELECT coalesce(max(n), 0) FROM predictions").fetchone()
        gone = connection.execute(
            "DELETE FROM predictions WHERE n IN (SELECT p.n FROM predictions p WHERE p.n <= ? "
            "AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.id = p.id) ORDER BY p.n LIMIT ?)",
            (newest - rows, AT_ONCE),
        ).rowcount
        gone += connection.execute(
            "DELETE FROM predictions WHERE n IN (SELECT n FROM predictions WHERE time_ns < ? LIMIT ?)",
            (oldest_ns, AT_ONCE),
        ).rowcount
        connection.execute("DELETE FROM labels WHERE time_ns < ?", (oldest_ns,))
        connection.execute(
            "DELETE FROM labels WHERE id IN (SELECT id FROM labels ORDER BY time_ns DESC LIMIT -1 OFFSET ?)",
            (MOST_LABELS,),
        )
    return gone

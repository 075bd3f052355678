from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import numpy as np

from app.shm.ring_buffer import (
    FAILED,
    HEADER_SIZE,
    REASONS,
    RingReader,
    RingWriter,
    recent,
    record_type,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

FIRST = "ring-0.bin"


def write(
    ring: RingWriter, number: int, row: Sequence[float], *, class_index: int = 0, synthetic: bool = False
) -> None:
    ring.append(
        time_ns=number,
        prediction_id=number.to_bytes(16, "big"),
        latency=number / 8,
        class_index=class_index,
        arm=number % 2,
        why=REASONS.index("sticky"),
        synthetic=synthetic,
        row=row,
    )


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    ring = RingWriter(tmp_path, 3, 4)
    ring.append(
        time_ns=1_700_000_000_123_456_789,
        prediction_id=bytes(range(16)),
        latency=0.25,
        class_index=2,
        arm=1,
        why=REASONS.index("forced"),
        synthetic=True,
        row=[1.5, -2.0, 0.1],
    )
    (record,) = RingReader(tmp_path / FIRST, 3).take().records
    assert record["sequence"] == 1
    assert record["time"] == 1_700_000_000_123_456_789
    assert bytes(record["prediction_id"]) == bytes(range(16))
    assert record["latency"] == 0.25
    assert (record["class_index"], record["arm"], REASONS[record["why"]]) == (2, 1, "forced")
    assert bool(record["synthetic"]) is True
    assert record["features"].tolist() == [1.5, -2.0, float(np.float32(0.1))]
    ring.close()


def test_the_layout_is_the_documented_one(tmp_path: Path) -> None:
    ring = RingWriter(tmp_path, 2, 3)
    write(ring, 5, [1, 2], class_index=-1)
    ring.close()
    content = (tmp_path / FIRST).read_bytes()
    record = record_type(2)
    assert record.itemsize == 56
    assert len(content) == HEADER_SIZE + 3 * 56
    assert content[:8] == b"oneboxR1"
    assert np.frombuffer(content, "<i8", 4, 8).tolist() == [2, 3, 56, 1]
    assert np.frombuffer(content, "<i8", 2, 64).tolist() == [1, 5]
    assert content[64 + 16 : 64 + 32] == (5).to_bytes(16, "big")
    assert np.frombuffer(content, "<f4", 1, 64 + 32)[0] == 0.625
    assert np.frombuffer(content, "<i2", 1, 64 + 36)[0] == FAILED
    assert list(content[64 + 38 : 64 + 44]) == [1, 1, 0, 0, 0, 0]
    assert np.frombuffer(content, "<f4", 2, 64 + 44).tolist() == [1, 2]


def test_a_reader_gets_every_record_once_and_is_told_what_it_missed(tmp_path: Path) -> None:
    ring, reader = RingWriter(tmp_path, 1, 5), RingReader(tmp_path / FIRST, 1)
    for number in range(4):
        write(ring, number, [number])
    assert reader.take(3).records["time"].tolist() == [0, 1, 2]
    taken = reader.take()
    assert (taken.records["time"].tolist(), taken.missed) == ([3], 0)
    assert len(reader.take().records) == 0
    for number in range(4, 12):
        write(ring, number, [number])
    taken = reader.take()
    assert (taken.records["time"].tolist(), taken.missed) == ([7, 8, 9, 10, 11], 3)
    assert reader.take().missed == 0
    ring.close()


def test_a_reader_follows_a_file_that_was_created_again(tmp_path: Path) -> None:
    ring, reader = RingWriter(tmp_path, 1, 5), RingReader(tmp_path / FIRST, 1)
    for number in range(3):
        write(ring, number, [number])
    assert len(reader.take().records) == 3
    ring.close()
    again = RingWriter(tmp_path, 1, 9)
    write(again, 7, [7])
    assert reader.take().records["time"].tolist() == [7]
    again.close()


def test_no_ring_and_a_ring_of_another_shape_have_no_records(tmp_path: Path) -> None:
    assert len(RingReader(tmp_path / FIRST, 4).take().records) == 0
    assert recent(tmp_path, 4, 200).shape == (0,)
    ring = RingWriter(tmp_path, 3, 5)
    write(ring, 1, [1, 2, 3])
    assert len(RingReader(tmp_path / FIRST, 4).take().records) == 0
    assert recent(tmp_path, 4, 200).shape == (0,)
    ring.close()
    (tmp_path / FIRST).write_bytes(b"x")
    assert len(recent(tmp_path, 3, 200)) == 0


def test_recent_rows_of_all_rings_come_in_the_order_of_time(tmp_path: Path) -> None:
    one, two = RingWriter(tmp_path, 2, 10), RingWriter(tmp_path, 2, 10)
    for number in range(6):
        write(one if number % 3 else two, number, [number, -number])
    assert recent(tmp_path, 2, 10)["features"].tolist() == [[n, -n] for n in range(6)]
    assert recent(tmp_path, 2, 4)["features"].tolist() == [[n, -n] for n in range(2, 6)]
    one.close()
    two.close()


def test_recent_rows_leave_out_synthetic_and_failed_ones(tmp_path: Path) -> None:
    ring = RingWriter(tmp_path, 1, 10)
    write(ring, 1, [1])
    write(ring, 2, [2], synthetic=True)
    write(ring, 3, [3], class_index=FAILED)
    write(ring, 4, [4])
    assert recent(tmp_path, 1, 10)["time"].tolist() == [1, 4]
    ring.close()


def test_a_ring_left_by_a_dead_worker_is_taken_over_with_its_records(tmp_path: Path) -> None:
    ring = RingWriter(tmp_path, 1, 3)
    for number in range(4):
        write(ring, number, [number])
    ring.close()
    successor = RingWriter(tmp_path, 1, 3)
    write(successor, 4, [4])
    assert recent(tmp_path, 1, 3)["time"].tolist() == [2, 3, 4]
    assert recent(tmp_path, 1, 3)["sequence"].tolist() == [3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == [FIRST]
    successor.close()


def append_many(directory: Path, claimed: Barrier, records: int) -> None:
    ring = RingWriter(directory, 4, 50)
    claimed.wait(60)
    for number in range(1, records + 1):
        write(ring, number, [number] * 4)


def test_readers_never_see_half_a_record_while_others_write(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    count = 60_000
    # A writer that ended before the other one began would leave it its ring.
    claimed = context.Barrier(3)
    writers = [context.Process(target=append_many, args=(tmp_path, claimed, count)) for _ in range(2)]
    for writer in writers:
        writer.start()
    claimed.wait(60)
    readers = [RingReader(tmp_path / f"ring-{number}.bin", 4) for number in range(2)]
    got, missed = [0, 0], [0, 0]
    writing = True
    while writing:
        writing = any(writer.is_alive() for writer in writers)
        records = recent(tmp_path, 4, 50)
        assert (records["features"] == records["time"][:, None]).all()
        for index, reader in enumerate(readers):
            taken = reader.take()
            assert (taken.records["features"] == taken.records["time"][:, None]).all()
            assert (taken.records["sequence"] == taken.records["time"]).all()
            got[index] += len(taken.records)
            missed[index] += taken.missed
    assert [writer.exitcode for writer in writers] == [0, 0]
    for index, reader in enumerate(readers):
        taken = reader.take()
        assert got[index] + len(taken.records) + missed[index] + taken.missed == count
        assert got[index] > 0

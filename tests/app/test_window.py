from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import numpy as np

from app.window import Ring, recent_rows

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_of_all_rings_come_back_in_the_order_they_were_seen(tmp_path: Path) -> None:
    one, two = Ring(tmp_path, 2, 10), Ring(tmp_path, 2, 10)
    for number in range(6):
        (one if number % 3 else two).append([number, -number])
    assert recent_rows(tmp_path, 2, 10).tolist() == [[number, -number] for number in range(6)]
    assert recent_rows(tmp_path, 2, 4).tolist() == [[number, -number] for number in range(2, 6)]
    one.close()
    two.close()


def test_only_the_last_rows_are_kept(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 1, 5)
    for number in range(13):
        ring.append([number])
    assert recent_rows(tmp_path, 1, 5).tolist() == [[8], [9], [10], [11], [12]]
    ring.close()


def test_a_ring_left_by_a_dead_worker_is_taken_over_with_its_rows(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 1, 3)
    for number in range(4):
        ring.append([number])
    ring.close()
    successor = Ring(tmp_path, 1, 3)
    successor.append([4])
    assert recent_rows(tmp_path, 1, 3).tolist() == [[2], [3], [4]]
    assert len(list(tmp_path.iterdir())) == 1
    successor.close()


def test_a_ring_of_another_model_starts_anew(tmp_path: Path) -> None:
    old = Ring(tmp_path, 3, 5)
    old.append([1, 2, 3])
    old.close()
    ring = Ring(tmp_path, 2, 5)
    assert recent_rows(tmp_path, 2, 5).shape == (0, 2)
    ring.append([1, 2])
    assert recent_rows(tmp_path, 2, 5).tolist() == [[1, 2]]
    assert recent_rows(tmp_path, 3, 5).shape == (0, 3)
    ring.close()


def test_no_ring_means_no_rows(tmp_path: Path) -> None:
    assert recent_rows(tmp_path, 4, 200).shape == (0, 4)


def append_many(directory: Path, started: multiprocessing.synchronize.Event, rows: int) -> None:
    ring = Ring(directory, 4, 50)
    started.set()
    for number in range(1, rows + 1):
        ring.append([number] * 4)


def test_a_reader_never_sees_half_a_row_while_others_write(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    events = [context.Event() for _ in range(2)]
    writers = [context.Process(target=append_many, args=(tmp_path, event, 100_000)) for event in events]
    for writer in writers:
        writer.start()
    for event in events:
        assert event.wait(60)
    reads = 0
    while any(writer.is_alive() for writer in writers):
        rows = recent_rows(tmp_path, 4, 50)
        assert (rows == rows[:, :1]).all()
        reads += 1
    for writer in writers:
        writer.join()
    assert reads > 0
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert np.count_nonzero(recent_rows(tmp_path, 4, 50)) == 200

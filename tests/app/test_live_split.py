from __future__ import annotations

import json
from typing import TYPE_CHECKING

from app.traffic.split import AUDIT, FILE, LiveSplit

if TYPE_CHECKING:
    from pathlib import Path


def test_a_change_reaches_every_worker_and_survives_a_restart(tmp_path: Path) -> None:
    one, two = (LiveSplit(tmp_path / "s", tmp_path / "d", (50, 50)) for _ in range(2))
    seen = two.generation
    one.set((90, 10), "192.0.2.1")
    assert two.generation != seen
    assert two.weights == (90, 10)
    again = LiveSplit(tmp_path / "other", tmp_path / "d", (50, 50))
    assert (again.weights, again.pushed, again.salt) == ((90, 10), (50, 50), one.salt)
    assert again.change is not None
    assert again.change.by == "192.0.2.1"


def test_a_release_with_other_weights_ends_a_change_and_keeps_the_salt(tmp_path: Path) -> None:
    live = LiveSplit(tmp_path, tmp_path, (50, 50))
    live.set((90, 10), "me")
    pushed = LiveSplit(tmp_path, tmp_path, (80, 20))
    assert (pushed.weights, pushed.change, pushed.salt) == ((80, 20), None, live.salt)


def test_every_change_leaves_a_line_in_the_audit_log(tmp_path: Path) -> None:
    live = LiveSplit(tmp_path, tmp_path, (50, 50))
    live.set((90, 10), "anna")
    live.set((0, 100), "bert")
    lines = [json.loads(line) for line in (tmp_path / AUDIT).read_text().splitlines()]
    assert [(line["by"], line["before"], line["after"]) for line in lines] == [
        ("anna", [50, 50], [90, 10]),
        ("bert", [90, 10], [0, 100]),
    ]


def test_a_broken_file_is_replaced_by_the_pushed_weights(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    live = LiveSplit(tmp_path, tmp_path, (70, 30))
    assert live.weights == (70, 30)
    assert json.loads((tmp_path / FILE).read_text())["salt"] == live.salt.hex()


def test_a_change_that_a_release_ended_does_not_come_back_with_the_old_weights(tmp_path: Path) -> None:
    LiveSplit(tmp_path, tmp_path, (50, 50)).set((90, 10), "me")
    LiveSplit(tmp_path, tmp_path, (80, 20))
    back = LiveSplit(tmp_path, tmp_path, (50, 50))
    assert (back.weights, back.change) == ((50, 50), None)
    last = json.loads((tmp_path / AUDIT).read_text().splitlines()[-1])
    assert (last["by"], last["before"], last["after"]) == ("push", [90, 10], [80, 20])

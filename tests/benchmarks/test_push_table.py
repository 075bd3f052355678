"""The pure half of the benchmark of the push: the table, and what is changed in a working copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.push.files import change_code, change_page, change_rule, copy_release, move_aside
from benchmarks.push.table import Sample, markdown, rows

ROOT = Path(__file__).parents[2]
SECONDS = {
    "onebox": (1.0, 2.0, 1.0),
    "ansible": (6.0, 16.0, 5.0),
    "pyinfra": (4.0, 10.0, 8.0),
}


@pytest.fixture
def samples() -> list[Sample]:
    return [
        Sample("nothing changed", name, turn, seconds[turn], 1024 * (turn + 1))
        for turn in range(3)
        for name, seconds in SECONDS.items()
    ]


def test_a_row_has_medians_and_the_ratio_to_the_fastest_of_the_others_within_each_turn(
    samples: list[Sample],
) -> None:
    (row,) = rows(samples)

    assert row.seconds == {"onebox": 1.0, "ansible": 6.0, "pyinfra": 8.0}
    assert row.wire_bytes == {"onebox": 2048, "ansible": 2048, "pyinfra": 2048}
    # 4/1, 10/2 and 5/1: a turn in which the machine was slow is compared with itself.
    assert (row.turns, row.ratio) == (3, 5.0)


def test_a_contestant_that_is_faster_than_ours_shows_as_a_ratio_below_one() -> None:
    found = rows([Sample("first push", "onebox", 0, 8.0, 0), Sample("first push", "pyinfra", 0, 4.0, 0)])

    assert found[0].ratio == 0.5
    assert "| first push | 8.00 s / 0 KiB | 4.00 s / 0 KiB | 1 | 0.5x |" in markdown(found)


def test_scenarios_keep_their_order_and_ours_stands_first(samples: list[Sample]) -> None:
    more = [Sample("a later one", "onebox", 0, 1.0, 0), Sample("a later one", "ansible", 0, 2.0, 0)]
    (head, _, *lines) = markdown(rows(samples)).splitlines()

    assert head.startswith("| scenario | onebox | ansible | pyinfra |")
    assert [row.scenario for row in rows(samples + more)] == ["nothing changed", "a later one"]
    assert len(lines) == 1


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("app", "images", "ui", "monitoring"):
        source = ROOT / name
        for file in source.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                target = tmp_path / "tree" / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
    (tmp_path / "tree" / "docker-compose.yml").write_bytes((ROOT / "docker-compose.yml").read_bytes())
    artifacts = tmp_path / "tree" / "app" / "artifacts"
    artifacts.mkdir(exist_ok=True)
    (artifacts / "manifest.json").write_text("{}")
    return tmp_path / "tree"


def test_a_working_copy_holds_the_files_of_the_release_and_nothing_else(copy: Path, tmp_path: Path) -> None:
    (copy / "app" / "__pycache__").mkdir(exist_ok=True)
    (copy / "app" / "__pycache__" / "x.pyc").write_text("")
    place = tmp_path / "copy"
    place.mkdir()
    (place / "old.txt").write_text("of an earlier run")

    count = copy_release(copy, place)

    assert sum(path.is_file() for path in place.rglob("*")) == count
    assert not (place / "old.txt").exists()


def test_contestants_beside_ours_get_ports_and_images_of_their_own(copy: Path) -> None:
    move_aside(copy, "bench-x", 10000)

    text = (copy / "docker-compose.yml").read_text()
    assert all(f'"{port}:' in text for port in ("15000", "18501", "19090"))
    assert (copy / ".env").read_text() == "ONEBOX_IMAGE_PREFIX=bench-x\n"


def test_the_changes_change_one_file_each_time_they_are_made(copy: Path) -> None:
    for mark in ("first", "second"):
        change_code(copy, mark)
        change_page(copy, mark)
        change_rule(copy, mark)
        assert mark in (copy / "app" / "api" / "openapi.py").read_text()
        assert mark in (copy / "ui" / "api" / "client.py").read_text()
        assert mark in (copy / "monitoring" / "rules" / "alerts.yml").read_text()

    assert "(first)" not in (copy / "app" / "api" / "openapi.py").read_text()
    assert "(first)" not in (copy / "monitoring" / "rules" / "alerts.yml").read_text()

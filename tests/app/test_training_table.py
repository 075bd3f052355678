from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from app.train_model import main
from app.training.errors import TableError
from app.training.table import read_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Cells = list[list[str]]


def good_table(rows: int = 60) -> Cells:
    draw = random.Random(3)  # noqa: S311 - rows of a test
    return [
        ["height", "width", "quality"],
        *(
            [f"{draw.gauss(3, 1):.3f}", f"{draw.gauss(0, 9):.2f}", ["good", "bad", "ugly"][number % 3]]
            for number in range(rows)
        ),
    ]


def save(path: Path, cells: Cells) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(cells)
    return path


def test_a_table_becomes_a_data_set(tmp_path: Path) -> None:
    cells = good_table()
    data = read_table(save(tmp_path / "parts.csv", cells))
    assert (data.source, data.label) == ("parts.csv", "quality")
    assert data.feature_names == ["height", "width"]
    assert data.classes == ["bad", "good", "ugly"]
    assert data.rows[4].tolist() == pytest.approx([float(cell) for cell in cells[5][:2]], rel=1e-6)
    assert data.classes[data.labels[4]] == cells[5][2]
    assert np.bincount(data.labels[data.held_out]).tolist() == [4, 4, 4]


def test_the_class_may_stand_in_any_column(tmp_path: Path) -> None:
    turned = [[row[2], row[0], row[1]] for row in good_table()]
    data = read_table(save(tmp_path / "t.csv", turned), "quality")
    assert data.feature_names == ["height", "width"]
    assert data.classes == ["bad", "good", "ugly"]


def test_class_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    cells = good_table()
    for number, row in enumerate(cells[1:]):
        row[2] = ["10", "9", "-1"][number % 3]
    assert read_table(save(tmp_path / "t.csv", cells)).classes == ["-1", "9", "10"]


def test_a_spreadsheets_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = save(tmp_path / "t.csv", good_table())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_table(path).feature_names == ["height", "width"]


def cell(row: int, column: int, text: str) -> Callable[[Cells], object]:
    def spoil(cells: Cells) -> None:
        cells[row - 1][column] = text

    return spoil


def for_all(column: int, texts: list[str]) -> Callable[[Cells], object]:
    def spoil(cells: Cells) -> None:
        for number, row in enumerate(cells[1:]):
            row[column] = texts[number % len(texts)]

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (cell(7, 1, "wide"), "row 7, column 'width' is not a number: 'wide'"),
        (cell(7, 1, "1_000"), "row 7, column 'width' is not a number: '1_000'"),
        (cell(9, 0, ""), "row 9, column 'height' is empty"),
        (cell(9, 0, "nan"), "row 9, column 'height' is not finite: 'nan'"),
        (cell(9, 0, "-inf"), "row 9, column 'height' is not finite: '-inf'"),
        (cell(9, 0, "1e31"), "row 9, column 'height' is beyond 1e+30"),
        (cell(12, 2, " "), "row 12 has no class: column 'quality' is empty"),
        (
            cell(12, 2, "x" * 81),
            "row 12, column 'quality': a class needs a name of 1 to 80 printable characters",
        ),
        (cell(1, 1, "height"), "t.csv has two columns named 'height'"),
        (cell(1, 1, ""), "column 2 of t.csv needs a name of 1 to 80 printable characters, not ''"),
        (lambda cells: cells[5].pop(), "t.csv row 6 has 2 cells, the header has 3"),
        (lambda cells: cells[5].append("1"), "t.csv row 6 has 4 cells, the header has 3"),
        (lambda cells: cells.clear(), "t.csv is empty; its first line must name the columns"),
        (lambda cells: cells.__delitem__(slice(1, None)), "t.csv has 0 rows, 50 are needed at least"),
        (lambda cells: cells.__delitem__(slice(50, None)), "t.csv has 49 rows, 50 are needed at least"),
        (for_all(2, ["good"]), "every row of t.csv has the class 'good' in column 'quality'; two are needed"),
        (
            for_all(2, ["good"] * 58 + ["bad"] * 2),
            "class 'bad' has 2 rows, 10 are needed at least, because 20% of each class are held out",
        ),
        (
            for_all(2, [str(number) for number in range(60)]),
            "class '0' has 1 rows, 10 are needed at least, because 20% of each class are held out; "
            "column 'quality' has 60 values, is it the class?",
        ),
        (
            lambda cells: cells[0].__setitem__(slice(None), ["height;width;quality"]),
            "t.csv has the one column 'height;width;quality'; a class and one feature at least are needed, "
            "separated by commas",
        ),
    ],
)
def test_a_bad_table_is_refused_with_one_sentence(
    spoil: Callable[[Cells], object], sentence: str, tmp_path: Path
) -> None:
    cells = good_table()
    spoil(cells)
    with pytest.raises(TableError) as refused:
        read_table(save(tmp_path / "t.csv", cells))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("qualty", "t.csv has no column 'qualty'; did you mean 'quality'?"),
        ("species", "t.csv has no column 'species'; its columns are height, width, quality"),
    ],
)
def test_a_label_that_is_no_column_is_refused(label: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(TableError) as refused:
        read_table(save(tmp_path / "t.csv", good_table()), label)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe\x00h", "t.csv is not UTF-8 text"),
        (b'a,b\n"1"2,3\n', "t.csv is not CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError, match=f"^{sentence}"):
        read_table(tmp_path / "t.csv")


def test_the_script_says_why_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "absent.csv"), "--out", str(tmp_path / "out")]) == 1
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path}/absent.csv cannot be read: No such file or directory.\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_label_without_a_table_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--label", "species"])
    assert "--label names a column of a table; name the table with --data" in capsys.readouterr().err

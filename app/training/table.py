"""Read a user's CSV file into a DataSet. An unusable table is refused with one sentence."""

from __future__ import annotations

import csv
import difflib
import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from app.training.data import HELD_OUT_SHARE, DataSet, split
from app.training.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIN_ROWS = 50
"""Fewest rows of a table: drift limits need them."""
MIN_ROWS_OF_A_CLASS = 10
"""Fewest rows of a class: a fifth of them, two rows, is held out."""
MAX_FEATURES = 500
MAX_CLASSES = 100
MAX_NAME = 80
LARGEST = 1e30
"""Largest absolute value: values are float32, and the accepted range is 21 times as wide as the training range."""


def read_table(path: Path, label: str | None = None) -> DataSet:
    """Return the data set of a CSV file with a header line: numeric features and one class column.

    label: that column's name; the last column if not given. Class names are sorted, as numbers where all are.
    Raises TableError naming the row and the column of the first thing that is wrong.
    """
    lines = _lines(path)
    header = [name.strip() for name in next(lines, (1, []))[1]]
    position = _label_position(path, header, label)
    names = [name for index, name in enumerate(header) if index != position]
    rows: list[list[float]] = []
    labels: list[str] = []
    for number, cells in lines:
        if len(cells) != len(header):
            raise TableError(
                f"{path.name} row {number} has {len(cells)} cells, the header has {len(header)}", row=number
            )
        labels.append(_class_name(cells.pop(position), number, header[position]))
        rows.append([_number(cell, number, name) for name, cell in zip(names, cells, strict=True)])
    classes = _classes(path, labels, header[position])
    indexes = {name: index for index, name in enumerate(classes)}
    return split(
        source=path.name,
        label=header[position],
        feature_names=names,
        classes=classes,
        rows=np.array(rows, dtype=np.float32),
        labels=np.array([indexes[name] for name in labels], dtype=np.int64),
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    # Line numbers of the file, also where a quoted cell holds a line break.
    try:
        # Spreadsheets write a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path.name} is not UTF-8 text") from error
    except csv.Error as error:
        raise TableError(f"{path.name} is not CSV: {error}") from error


def _label_position(path: Path, header: list[str], label: str | None) -> int:
    if not header:
        raise TableError(f"{path.name} is empty; its first line must name the columns")
    for index, name in enumerate(header):
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise TableError(
                f"column {index + 1} of {path.name} needs a name of 1 to {MAX_NAME} printable characters, "
                f"not {name[:MAX_NAME]!r}"
            )
    twice = next((name for name, count in Counter(header).items() if count > 1), None)
    if twice is not None:
        raise TableError(f"{path.name} has two columns named '{twice}'", column=twice)
    if label is not None and label not in header:
        near = difflib.get_close_matches(label, header, n=1)
        meant = f"; did you mean '{near[0]}'?" if near else f"; its columns are {_some(header)}"
        raise TableError(f"{path.name} has no column '{label}'{meant}", column=label)
    if len(header) == 1:
        raise TableError(
            f"{path.name} has the one column '{header[0]}'; a class and one feature at least are needed, "
            "separated by commas"
        )
    if len(header) - 1 > MAX_FEATURES:
        raise TableError(f"{path.name} has {len(header) - 1} features, {MAX_FEATURES} at most can be served")
    return len(header) - 1 if label is None else header.index(label)


def _number(cell: str, row: int, column: str) -> float:
    text = cell.strip()
    if not text:
        raise TableError(f"row {row}, column '{column}' is empty", row=row, column=column)
    try:
        # float() alone also accepts 1_000.
        value = float(text) if "_" not in text else None
    except ValueError:
        value = None
    if value is None:
        raise TableError(
            f"row {row}, column '{column}' is not a number: {text[:40]!r}", row=row, column=column
        )
    if not math.isfinite(value):
        raise TableError(f"row {row}, column '{column}' is not finite: {text[:40]!r}", row=row, column=column)
    if abs(value) > LARGEST:
        raise TableError(f"row {row}, column '{column}' is beyond {LARGEST:g}", row=row, column=column)
    return value


def _class_name(cell: str, row: int, column: str) -> str:
    name = cell.strip()
    if not name:
        raise TableError(f"row {row} has no class: column '{column}' is empty", row=row, column=column)
    if len(name) > MAX_NAME or not name.isprintable():
        raise TableError(
            f"row {row}, column '{column}': a class needs a name of 1 to {MAX_NAME} printable characters",
            row=row,
            column=column,
        )
    return name


def _classes(path: Path, labels: list[str], column: str) -> list[str]:
    counts = Counter(labels)
    if len(labels) < MIN_ROWS:
        raise TableError(f"{path.name} has {len(labels)} rows, {MIN_ROWS} are needed at least")
    if len(counts) == 1:
        raise TableError(
            f"every row of {path.name} has the class '{labels[0]}' in column '{column}'; two are needed",
            column=column,
        )
    name, count = min(counts.items(), key=lambda item: (item[1], item[0]))
    if count < MIN_ROWS_OF_A_CLASS:
        many = f"; column '{column}' has {len(counts)} values, is it the class?" if len(counts) > 20 else ""
        raise TableError(
            f"class '{name}' has {count} rows, {MIN_ROWS_OF_A_CLASS} are needed at least, because "
            f"{HELD_OUT_SHARE:.0%} of each class are held out{many}",
            column=column,
        )
    if len(counts) > MAX_CLASSES:
        raise TableError(
            f"column '{column}' has {len(counts)} classes, {MAX_CLASSES} at most can be served", column=column
        )
    if all(name.removeprefix("-").isascii() and name.removeprefix("-").isdecimal() for name in counts):
        return sorted(counts, key=lambda name: (int(name), name))
    return sorted(counts)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown

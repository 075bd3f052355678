"""What can go wrong in training; nothing is written then.

TrainingError       a model came out that must not be served
└── TableError      the table cannot be trained on
"""

from __future__ import annotations

from app.errors import ApiError


class TrainingError(ApiError):
    """Nothing was written."""


class TableError(TrainingError):
    """The user's table cannot be used; `row` counts its lines from the header's 1, `column` is a name."""

    def __init__(self, message: str, *, row: int | None = None, column: str | None = None) -> None:
        self.row = row
        self.column = column
        super().__init__(message)

"""Errors of training; after one nothing is written.

TrainingError       a trained model must not be served
└── TableError      the table cannot be trained on
"""

from __future__ import annotations

from app.errors import ApiError


class TrainingError(ApiError):
    """Training failed; nothing was written."""


class TableError(TrainingError):
    """The user's table cannot be used. row: line, the header is 1. column: name."""

    def __init__(self, message: str, *, row: int | None = None, column: str | None = None) -> None:
        self.row = row
        self.column = column
        super().__init__(message)

"""Decode the body of POST /predict into rows. The fast path of valid bodies: `validation` explains invalid ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.errors import InvalidRequestError
from app.inference.validation import explain, out_of_range
from app.wire.schemas import PredictRequest, Values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.manifest import FeatureSpec

MAX_ROWS = 1000

Row = list[float]


class RowDecoder:
    """Decodes request bodies for one set of features."""

    def __init__(self, features: Sequence[FeatureSpec], max_rows: int = MAX_ROWS) -> None:
        self._names = [feature.name for feature in features]
        self._limits = [(feature.accept_min, feature.accept_max) for feature in features]
        self._decode = msgspec.json.Decoder(PredictRequest).decode
        self._colons_by_name = len(features) + sum(name.count(":") for name in self._names)
        self._max_rows = max_rows

    def rows(self, body: bytes) -> tuple[list[Row], bool]:
        """Return the rows with features in the manifest's order, and whether they are a batch.

        Raise InvalidRequestError unless every value is finite and within its feature's accepted range, and a batch has
        1 to max_rows rows.
        """
        request = self._read(body)
        single, batch = request.features, request.instances
        given: Sequence[Values]
        if batch is msgspec.UNSET:
            given = () if single is msgspec.UNSET else (single,)
        else:
            given = batch if single is msgspec.UNSET else ()
        rows = self._in_order(given, body)
        if rows is None:
            wrong = explain(body, self._names, self._max_rows)
            raise wrong or InvalidRequestError(400, "malformed_json", "the body is not valid JSON")
        for number, row in enumerate(rows):
            for value, (low, high) in zip(row, self._limits, strict=True):
                if not low <= value <= high:
                    raise self._out_of_range(row, None if batch is msgspec.UNSET else number)
        return rows, batch is not msgspec.UNSET

    def _read(self, body: bytes) -> PredictRequest:
        try:
            return self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            wrong = explain(body, self._names, self._max_rows)
            if wrong is None:
                wrong = InvalidRequestError(400, "malformed_json", f"the body is not JSON: {error}")
            raise wrong from None

    def _in_order(self, given: Sequence[Values], body: bytes) -> list[Row] | None:
        """Return the rows with values in the manifest's order; None where one of them is invalid."""
        if not 0 < len(given) <= self._max_rows:
            return None
        rows: list[Row] = []
        # The decoder keeps the last of duplicate keys. A body with as many colons as keys has no duplicate.
        colons = 1
        for item in given:
            if isinstance(item, list):
                row = item
            else:
                row = [item[name] for name in self._names if name in item]
                colons += self._colons_by_name
            if len(row) != len(self._names) or len(item) != len(self._names):
                return None
            rows.append(row)
        if body.count(b":") == colons or explain(body, self._names, self._max_rows) is None:
            return rows
        return None

    def _out_of_range(self, row: Row, number: int | None) -> InvalidRequestError:
        where = "" if number is None else f"instances[{number}]."
        return next(
            out_of_range(where + name, value, low, high)
            for name, value, (low, high) in zip(self._names, row, self._limits, strict=True)
            if not low <= value <= high
        )

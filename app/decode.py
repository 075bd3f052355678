"""Body of POST /predict -> one row of numbers. The good case is fast; `app.diagnosis` says what is wrong else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.diagnosis import explain, out_of_range
from app.errors import InvalidRequestError
from app.schemas import PredictRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.manifest import FeatureSpec


class RowDecoder:
    """Reads request bodies for one set of features."""

    def __init__(self, features: Sequence[FeatureSpec]) -> None:
        self._names = [feature.name for feature in features]
        self._limits = [(feature.accept_min, feature.accept_max) for feature in features]
        self._decode = msgspec.json.Decoder(PredictRequest).decode
        self._colons_by_name = 1 + len(features) + sum(name.count(":") for name in self._names)

    def row(self, body: bytes) -> list[float]:
        """The values in the manifest's order, finite and within the accepted ranges; raises InvalidRequestError."""
        try:
            features = self._decode(body).features
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            wrong = explain(body, self._names)
            if wrong is None:
                wrong = InvalidRequestError(400, "malformed_json", f"the body is not JSON: {error}")
            raise wrong from None
        # The decoder keeps the last of two equal keys. A body with as many colons as keys has no second one.
        if isinstance(features, list):
            row, plain = features, len(features) == len(self._names) and body.count(b":") == 1
        else:
            row = [features[name] for name in self._names if name in features]
            plain = len(row) == len(self._names) == len(features) and body.count(b":") == self._colons_by_name
        if not plain:
            wrong = explain(body, self._names)
            if wrong is not None:
                raise wrong
        for position, (low, high) in enumerate(self._limits):
            if not low <= row[position] <= high:
                raise out_of_range(self._names[position], row[position], low, high)
        return row

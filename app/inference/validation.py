"""Explain what is wrong with a request body. Slow and thorough; runs only for refused bodies."""

from __future__ import annotations

import difflib
import json
import math
from typing import TYPE_CHECKING, NoReturn

from app.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, "Json"] | list["Json"] | str | float | bool | None
"""A JSON value whose numbers are all read as floats."""

SHOWN = 80
KINDS = {bool: "true or false", str: "a string", type(None): "null", list: "a list", dict: "an object"}


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


def explain(body: bytes, names: Sequence[str], max_rows: int) -> InvalidRequestError | None:
    """Return the first error of the body, from encoding down to single values; None without one.

    Ranges are not checked here.
    """
    try:
        document = _keys(_parsed(body))
        if "features" in document:
            _row(document["features"], names, "")
        else:
            _batch(document["instances"], names, max_rows)
    except InvalidRequestError as wrong:
        return wrong
    return None


def out_of_range(name: str, value: float, low: float, high: float) -> InvalidRequestError:
    """Return the error of a value outside its feature's accepted range."""
    return InvalidRequestError(
        422, "out_of_range", f"{name} must be from {low:g} to {high:g}, not {value:g}", field=name
    )


def _parsed(body: bytes) -> Json:
    if not body.strip():
        raise InvalidRequestError(400, "empty_body", 'the body is empty; send {"features": [...]}')
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            400, "bad_encoding", f"the body is not UTF-8 at byte {error.start}"
        ) from None
    try:
        # Integers are read as floats: a long one becomes infinite and is refused as such, by its name.
        document: Json = json.loads(text, object_pairs_hook=_object, parse_int=float)
    except _DuplicateKeyError as twice:
        key = _shown(twice.key)
        raise InvalidRequestError(400, "duplicate_key", f"the key '{key}' occurs twice", field=key) from None
    except RecursionError:
        raise InvalidRequestError(400, "too_deep", "the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequestError(400, "malformed_json", f"the body is not JSON: {error}") from None
    return document


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key, value in pairs:
        if key in result:
            raise _DuplicateKeyError(key)
        result[key] = value
    return result


def _keys(document: Json) -> dict[str, Json]:
    if not isinstance(document, dict):
        raise InvalidRequestError(
            422, "wrong_shape", f'the body must be an object with the key "features", not {_kind(document)}'
        )
    for key in document:
        if key not in ("features", "instances"):
            _unknown(key, ["features", "instances"], "key", "")
    if not document:
        raise InvalidRequestError(
            422, "missing_field", 'the key "features" is missing, and so is "instances"', field="features"
        )
    if len(document) > 1:
        raise InvalidRequestError(
            422, "wrong_shape", 'give either "features" or "instances", not both', field="instances"
        )
    return document


def _batch(instances: Json, names: Sequence[str], max_rows: int) -> None:
    if not isinstance(instances, list):
        raise InvalidRequestError(
            422, "wrong_type", f"instances must be a list of rows, not {_kind(instances)}", field="instances"
        )
    if not 0 < len(instances) <= max_rows:
        raise InvalidRequestError(
            422,
            "wrong_count",
            f"instances must be from 1 to {max_rows} rows, not {len(instances)}",
            field="instances",
        )
    for number, row in enumerate(instances):
        _row(row, names, f"instances[{number}]")


def _row(features: Json, names: Sequence[str], where: str) -> None:
    prefix = f"{where}." if where else ""
    itself = where or "features"
    if isinstance(features, dict):
        for key in features:
            if key not in names:
                _unknown(key, names, "feature", prefix)
        for name in names:
            if name not in features:
                raise InvalidRequestError(
                    422, "missing_field", f"{prefix}{name} is missing", field=prefix + name
                )
            _number(prefix + name, features[name])
    elif isinstance(features, list):
        # Single values first: [[5.1, 3.5, 1.4, 0.2]] is a list of lists, not a list of the wrong length.
        for name, value in zip(names, features, strict=False):
            _number(prefix + name, value)
        if len(features) != len(names):
            raise InvalidRequestError(
                422,
                "wrong_count",
                f"{itself} must be {len(names)} numbers, not {len(features)}",
                field=itself,
            )
    else:
        raise InvalidRequestError(
            422, "wrong_type", f"{itself} must be a list or an object, not {_kind(features)}", field=itself
        )


def _number(name: str, value: Json) -> None:
    if not isinstance(value, float):
        raise InvalidRequestError(
            422, "wrong_type", f"{name} must be a number, not {_kind(value)}", field=name
        )
    if not math.isfinite(value):
        raise InvalidRequestError(422, "not_finite", f"{name} must be a finite number", field=name)


def _unknown(key: str, known: Sequence[str], word: str, prefix: str) -> NoReturn:
    shown = _shown(key)
    near = difflib.get_close_matches(shown, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise InvalidRequestError(
        422, "unknown_field", f"there is no {word} '{shown}'{hint}", field=prefix + shown
    )


def _kind(value: Json) -> str:
    return KINDS.get(type(value), "a number")


def _shown(text: str) -> str:
    # A JSON escape can hold half a surrogate pair, which has no UTF-8.
    return text[:SHOWN].encode("utf-8", "backslashreplace").decode()

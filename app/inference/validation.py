"""What exactly is wrong with a request body. Slow and thorough; runs only for bodies that were refused."""

from __future__ import annotations

import difflib
import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from app.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 80
KINDS = {bool: "true or false", str: "a string", type(None): "null", list: "a list", dict: "an object"}


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


def explain(body: bytes, names: Sequence[str], max_rows: int) -> InvalidRequestError | None:
    """The first thing wrong with the body, from encoding down to single values; None if all is well.

    Ranges are not looked at here.
    """
    try:
        document = _parsed(body)
        _keys(document)
        if "features" in document:
            _row(document["features"], names, "")
        else:
            _batch(document["instances"], names, max_rows)
    except InvalidRequestError as wrong:
        return wrong
    return None


def out_of_range(name: str, value: float, low: float, high: float) -> InvalidRequestError:
    """The refusal of a number that no row of this kind can have."""
    return InvalidRequestError(
        422, "out_of_range", f"{name} must be from {low:g} to {high:g}, not {value:g}", field=name
    )


def _parsed(body: bytes) -> Any:
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
        return json.loads(text, object_pairs_hook=_object, parse_int=float)
    except _DuplicateKeyError as twice:
        key = _shown(twice.key)
        raise InvalidRequestError(
            400, "duplicate_key", f"the key '{key}' is there twice", field=key
        ) from None
    except RecursionError:
        raise InvalidRequestError(400, "too_deep", "the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequestError(400, "malformed_json", f"the body is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _DuplicateKeyError(key)
        result[key] = value
    return result


def _keys(document: Any) -> None:
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


def _batch(instances: Any, names: Sequence[str], max_rows: int) -> None:
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


def _row(features: Any, names: Sequence[str], where: str) -> None:
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
        # Single values first: [[5.1, 3.5, 1.4, 0.2]] is a nested list rather than a list of the wrong length.
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


def _number(name: str, value: Any) -> None:
    if not isinstance(value, float):
        raise InvalidRequestError(
            422, "wrong_type", f"{name} must be a number, not {_kind(value)}", field=name
        )
    if not math.isfinite(value):
        raise InvalidRequestError(422, "not_finite", f"{name} must be a finite number", field=name)


def _unknown(key: str, known: Sequence[str], word: str, prefix: str) -> NoReturn:
    shown = _shown(key)
    near = difflib.get_close_matches(shown, known, n=1)
    meant = f"; did you mean '{near[0]}'?" if near else ""
    raise InvalidRequestError(
        422, "unknown_field", f"there is no {word} '{shown}'{meant}", field=prefix + shown
    )


def _kind(value: Any) -> str:
    return KINDS.get(type(value), "a number")


def _shown(text: str) -> str:
    # A JSON escape can hold half of a surrogate pair, which cannot be sent back as UTF-8.
    return text[:SHOWN].encode("utf-8", "backslashreplace").decode()

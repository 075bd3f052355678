"""Read single fields of a JSON response, each with the type it must have. Pure.

Every function raises ResponseError for a field of another type; `prefix` or `path` locates it in the message.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ResponseError(ValueError):
    """A field of a response is missing or of another type; `field` is its path."""

    def __init__(self, field: str, wanted: str) -> None:
        self.field = field
        super().__init__(f"{field} should be {wanted}")


def mapping(value: object, path: str) -> Mapping[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise ResponseError(path, "an object")
    return value


def sequence(body: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list."""
    value = body.get(name)
    if not isinstance(value, list):
        raise ResponseError(name, "a list")
    return value


def text(body: Mapping[str, Any], name: str, prefix: str = "") -> str:
    """Return a text."""
    value = body.get(name)
    if not isinstance(value, str):
        raise ResponseError(prefix + name, "a text")
    return value


def optional_text(body: Mapping[str, Any], name: str, prefix: str = "") -> str | None:
    """Return a text, or None where it is null or missing."""
    return None if body.get(name) is None else text(body, name, prefix)


def number(body: Mapping[str, Any], name: str, prefix: str = "") -> float:
    """Return a finite number."""
    value = body.get(name)
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ResponseError(prefix + name, "a finite number")
    return found


def optional_number(body: Mapping[str, Any], name: str, prefix: str = "") -> float | None:
    """Return a finite number, or None where it is null or missing."""
    return None if body.get(name) is None else number(body, name, prefix)


def flag(body: Mapping[str, Any], name: str, prefix: str = "") -> bool:
    """Return a boolean."""
    value = body.get(name)
    if not isinstance(value, bool):
        raise ResponseError(prefix + name, "true or false")
    return value


def numbers(body: Mapping[str, Any], name: str) -> Mapping[str, float]:
    """Return an object of finite numbers."""
    values = mapping(body.get(name), name)
    return {key: number(values, key, f"{name}.") for key in values}

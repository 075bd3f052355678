"""Read fields of a JSON response and check their types. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class AnswerError(ValueError):
    """A field of a response is missing or of another type; `field` is its path."""

    def __init__(self, field: str, wanted: str) -> None:
        self.field = field
        super().__init__(f"{field} should be {wanted}")


def mapping(value: object, path: str) -> Mapping[str, Any]:
    """Return an object; errors name `path`."""
    if not isinstance(value, dict):
        raise AnswerError(path, "an object")
    return value


def sequence(answer: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list."""
    value = answer.get(name)
    if not isinstance(value, list):
        raise AnswerError(name, "a list")
    return value


def text(answer: Mapping[str, Any], name: str, prefix: str = "") -> str:
    """Return a string."""
    value = answer.get(name)
    if not isinstance(value, str):
        raise AnswerError(prefix + name, "a text")
    return value


def optional_text(answer: Mapping[str, Any], name: str, prefix: str = "") -> str | None:
    """Return a string, or None if it is null or missing."""
    return None if answer.get(name) is None else text(answer, name, prefix)


def number(answer: Mapping[str, Any], name: str, prefix: str = "") -> float:
    """Return a finite number."""
    value = answer.get(name)
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise AnswerError(prefix + name, "a finite number")
    return found


def optional_number(answer: Mapping[str, Any], name: str, prefix: str = "") -> float | None:
    """Return a finite number, or None if it is null or missing."""
    return None if answer.get(name) is None else number(answer, name, prefix)


def flag(answer: Mapping[str, Any], name: str, prefix: str = "") -> bool:
    """Return a boolean."""
    value = answer.get(name)
    if not isinstance(value, bool):
        raise AnswerError(prefix + name, "true or false")
    return value


def numbers(answer: Mapping[str, Any], name: str) -> Mapping[str, float]:
    """Return an object of finite numbers."""
    values = mapping(answer.get(name), name)
    return {key: number(values, key, f"{name}.") for key in values}

"""Messages as JSON text: dataclasses out and in, each value checked against its declared type."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_declared: dict[type, dict[str, Any]] = {}


class Malformed(ValueError):
    """JSON that does not have the declared shape."""


def encode(message: object) -> str:
    """Return a dataclass as JSON. Tuples become lists."""
    return json.dumps(message, default=vars)


def decode(kind: type[T], text: Union[str, bytes]) -> T:
    """Return the dataclass in JSON text. Raises Malformed."""
    return from_json(kind, parse(text))


def parse(text: Union[str, bytes]) -> Any:
    """Return the JSON value in text. Raises Malformed, also for one that is nested too deeply to be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error


def is_newer(value: object, schema: int) -> bool:
    """Return whether a newer version wrote this JSON value: its `schema` is above the one that is known."""
    found = value.get("schema") if isinstance(value, dict) else None
    return type(found) is int and found > schema


def from_json(kind: type[T], value: object) -> T:
    """Return the dataclass in a JSON object. Unknown fields are ignored, absent ones take their default.

    Types are those of JSON, Optional, Dict[str, ...], Tuple[..., ...], dataclasses, and Any, which is not
    looked into. Raises Malformed.
    """
    if not isinstance(value, dict):
        raise Malformed(f"{kind.__name__}: not an object")
    types = _types(kind)
    try:
        return kind(**{name: _checked(types[name], item) for name, item in value.items() if name in types})
    except (TypeError, Malformed) as error:
        raise Malformed(f"{kind.__name__}: {error}") from error


def _types(kind: type) -> dict[str, Any]:
    if kind not in _declared:
        hints = get_type_hints(kind)
        _declared[kind] = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    return _declared[kind]


def _checked(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Union:
        return None if value is None else _checked(inner[0], value)
    if origin is tuple and isinstance(value, list):
        return tuple(_checked(inner[0], item) for item in value)
    if origin is dict and isinstance(value, dict):
        return {name: _checked(inner[1], item) for name, item in value.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return from_json(kind, value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise Malformed(f"{value!r:.80} is no {kind}")
    return value

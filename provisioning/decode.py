"""Typed reading of decoded JSON that another version, or another program, may have written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self


class WrongShape(ValueError):
    """A value of decoded JSON has another type than is read; the message names its position."""


class Fields:
    """The fields of one JSON object. Each reader raises WrongShape for a missing field without a default."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, Mapping):
            raise WrongShape(f"{name} is not an object")
        self._values: Mapping[str, object] = value
        self._name = name

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise WrongShape(f"{self._path(key)} is not text")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a string, or None for null and for a missing field."""
        return None if self._values.get(key) is None else self.text(key)

    def number(self, key: str) -> int:
        """Return an integer that is not below 0."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise WrongShape(f"{self._path(key)} is not a number")
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """Return a number, integer or not."""
        value = self._get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise WrongShape(f"{self._path(key)} is not a number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return a truth value."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise WrongShape(f"{self._path(key)} is neither true nor false")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return an array of strings."""
        values = self._array(key, default)
        found = tuple(value for value in values if isinstance(value, str))
        if len(found) != len(values):
            raise WrongShape(f"{self._path(key)} holds more than text")
        return found

    def objects(self, key: str) -> tuple[Self, ...]:
        """Return an array of objects."""
        return tuple(
            type(self)(value, f"{self._path(key)}[{number}]")
            for number, value in enumerate(self._array(key, None))
        )

    def fields(self, key: str, default: Mapping[str, object] | None = None) -> Self:
        """Return an object."""
        return type(self)(self._get(key, default), self._path(key))

    def optional_fields(self, key: str) -> Self | None:
        """Return an object, or None for null and for a missing field."""
        return None if self._values.get(key) is None else self.fields(key)

    def has(self, key: str) -> bool:
        """Return whether the object has this field."""
        return key in self._values

    def by_name(self, key: str, default: Mapping[str, object] | None = None) -> dict[str, Self]:
        """Return an object whose values are objects."""
        inner = self.fields(key, default)
        return {name: type(self)(value, inner._path(name)) for name, value in inner._values.items()}

    def text_by_name(self, key: str) -> dict[str, str]:
        """Return an object whose values are strings."""
        inner = self.fields(key)
        return {name: inner.text(name) for name in inner._values}

    def _array(self, key: str, default: tuple[object, ...] | None) -> tuple[object, ...]:
        value = self._get(key, default)
        if not isinstance(value, list | tuple):
            raise WrongShape(f"{self._path(key)} is not an array")
        return tuple(value)

    def _get(self, key: str, default: object = None) -> object:
        value = self._values.get(key, default)
        if value is None:
            raise WrongShape(f"{self._path(key)} is missing")
        return value

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}"

"""Pure comparison of a resource's old and new inputs: what changed, and what makes a new resource."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from infra.local.provider.schema.check import DEFAULTS_KEY
from infra.local.provider.schema.schema import Kind, Property, ResourceType
from infra.local.provider.wire import UNKNOWN

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Change(Enum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class PropertyChange:
    """One changed property: `path` as the engine writes it (`rootBlockDevice.volumeSize`, `tags["a.b"]`)."""

    path: str
    change: Change
    replaces: bool

    @property
    def top(self) -> str:
        """Return the name of the resource's own property that holds the change."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0]


@dataclass(frozen=True)
class Comparison:
    """Every change of a resource, in the order of its properties."""

    changes: tuple[PropertyChange, ...]
    delete_first: bool
    """The replacement has the same fixed name as the old resource, so the old one must go first."""

    @property
    def replaces(self) -> tuple[str, ...]:
        return tuple(change.path for change in self.changes if change.replaces)

    @property
    def changed(self) -> frozenset[str]:
        """Return the names of the top-level properties that changed."""
        return frozenset(change.top for change in self.changes)


def compare(
    kind: ResourceType,
    olds: Mapping[str, Any],
    news: Mapping[str, Any],
    ignored: frozenset[str] = frozenset(),
) -> Comparison:
    """Return the changes from the old to the new inputs, without the top-level properties in `ignored`."""
    changes = [
        change
        for name, prop in kind.inputs.items()
        if name not in ignored
        for change in _changes(_effective(prop, news), name, olds.get(name), news.get(name))
    ]
    others = kind.exactly_one_of
    if others and all(any(change.path == name for change in changes) for name in others):
        changes = [_replacing(change) if change.path in others else change for change in changes]
    return Comparison(tuple(changes), _delete_first(kind, olds, news, changes))


def _effective(prop: Property, news: Mapping[str, Any]) -> Property:
    if prop.replaces_if:
        return Property(prop.kind, replaces=news.get(prop.replaces_if) is True)
    return prop


def _changes(prop: Property, path: str, old: object, new: object) -> Iterator[PropertyChange]:
    if old is None or new is None:
        yield from _presence(prop, path, old, new)
    elif prop.kind is Kind.OBJECT and isinstance(old, Mapping) and isinstance(new, Mapping):
        for name, inner in prop.fields.items():
            yield from _changes(inner, f"{path}.{name}", old.get(name), new.get(name))
    elif prop.kind is Kind.TAGS and isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _changes(Property(), _keyed(path, key), old.get(key), new.get(key))
    elif not _same(prop, old, new):
        yield PropertyChange(path, Change.UPDATE, prop.replaces)


def _presence(prop: Property, path: str, old: object, new: object) -> Iterator[PropertyChange]:
    if _empty(old) and _empty(new):
        return
    if new is None and prop.computed:
        return
    if old is None and prop.default is not None and new == prop.default:
        return
    if prop.kind is Kind.OBJECT:
        yield from _object_presence(prop, path, old, new)
        return
    yield PropertyChange(path, Change.ADD if _empty(old) else Change.DELETE, prop.replaces)


def _object_presence(prop: Property, path: str, old: object, new: object) -> Iterator[PropertyChange]:
    if new is UNKNOWN or old is UNKNOWN:
        yield PropertyChange(path, Change.ADD if old is None else Change.DELETE, prop.replaces)
        return
    before = old if isinstance(old, Mapping) else {}
    after = new if isinstance(new, Mapping) else {}
    for name, inner in prop.fields.items():
        yield from _changes(inner, f"{path}.{name}", before.get(name), after.get(name))


def _same(prop: Property, old: object, new: object) -> bool:
    if prop.kind is Kind.STRING_SET and isinstance(old, list) and isinstance(new, list):
        return UNKNOWN not in new and sorted(map(str, old)) == sorted(map(str, new))
    return new is not UNKNOWN and old == new


def _empty(value: object) -> bool:
    return value is None or value in ({}, [])


def _keyed(path: str, key: str) -> str:
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}"
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{escaped}"]'


def _replacing(change: PropertyChange) -> PropertyChange:
    return PropertyChange(change.path, change.change, replaces=True)


def _delete_first(
    kind: ResourceType, olds: Mapping[str, Any], news: Mapping[str, Any], changes: list[PropertyChange]
) -> bool:
    auto = kind.auto_name
    if auto is None or not any(change.replaces for change in changes):
        return False
    fixed = auto.property in news and auto.property not in news.get(DEFAULTS_KEY, [])
    return fixed and olds.get(auto.property) == news.get(auto.property)

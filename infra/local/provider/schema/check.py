"""Pure: validation of the inputs of a resource or a function."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.local.provider.errors import nearest
from infra.local.provider.schema.schema import Kind, Property, ResourceType
from infra.local.provider.wire import UNKNOWN, Opaque, Properties, holds_unknown

DEFAULTS_KEY: Final = "__defaults"
"""Input that lists the names the provider filled in, as the real provider records them."""

Failure = tuple[str, str]
"""The property (a path) and why it is refused."""


@dataclass
class Checked:
    """Inputs with the defaults filled in, and every refusal."""

    inputs: Properties = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


def check_resource(
    kind: ResourceType, news: Mapping[str, Any], olds: Mapping[str, Any], name: str, seed: bytes = b""
) -> Checked:
    """Return the inputs to store for a resource called `name`.

    `olds` are the inputs of the last deployment (empty for a new or replaced resource): a generated
    name stays. The ending of a new name is a function of `seed`.
    """
    given = {key: value for key, value in news.items() if key != DEFAULTS_KEY}
    checked = check_properties(kind.inputs, given)
    if checked.failures:
        return checked
    missing_one = _exactly_one(kind, given)
    if missing_one:
        checked.failures.append(missing_one)
        return checked
    auto = kind.auto_name
    if auto and auto.property not in given and auto.unless not in given:
        checked.inputs[auto.property] = _kept_name(auto.property, olds) or _new_name(name, seed)
    filled = sorted(set(checked.inputs) - set(given))
    checked.inputs[DEFAULTS_KEY] = filled
    return checked


def check_properties(known: Mapping[str, Property], given: Mapping[str, Any], path: str = "") -> Checked:
    """Check kinds, required and conflicting properties and choices; refuse unknown names, fill in defaults."""
    checked = Checked()
    for name, value in given.items():
        where = f"{path}{name}"
        prop = known.get(name)
        if prop is None:
            checked.failures.append(
                (where, f"the rehearsal's provider does not know it{nearest(name, list(known))}")
            )
            continue
        checked.inputs[name] = _check_value(prop, value, where, checked.failures)
        checked.failures.extend(
            (where, f"cannot be given together with {path}{other}")
            for other in prop.conflicts
            if other in given
        )
    for name, prop in known.items():
        if name in given:
            continue
        if prop.required:
            checked.failures.append((f"{path}{name}", "is required and was not given"))
        elif prop.default is not None:
            checked.inputs[name] = prop.default
    return checked


def _check_value(prop: Property, value: object, where: str, failures: list[Failure]) -> Any:
    if value is UNKNOWN:
        return value
    if prop.kind is Kind.OBJECT and isinstance(value, Mapping):
        inner = check_properties(prop.fields, value, f"{where}.")
        failures.extend(inner.failures)
        return inner.inputs
    if prop.kind is Kind.OBJECTS and isinstance(value, list):
        return [_check_item(prop, item, f"{where}[{index}]", failures) for index, item in enumerate(value)]
    converted = _convert(prop.kind, value)
    if converted is None:
        failures.append((where, f"must be {prop.kind.value}, not {_describe(value)}"))
        return value
    if prop.choices and converted not in prop.choices:
        failures.append((where, f"must be {_choices(prop.choices)}, not {converted!r}"))
    return converted


def _check_item(prop: Property, item: object, where: str, failures: list[Failure]) -> Any:
    return _check_value(Property(Kind.OBJECT, fields=prop.fields), item, where, failures)


def _convert(kind: Kind, value: object) -> Any:
    """Return the value in the property's kind, or None. "8" is a number and 8 a text, as for the real provider."""
    match kind:
        case Kind.STRING:
            return _text(value)
        case Kind.INTEGER:
            return _integer(value)
        case Kind.BOOLEAN:
            return {"true": True, "false": False}.get(value) if isinstance(value, str) else _only(bool, value)
        case Kind.STRINGS | Kind.STRING_SET:
            return _texts(value)
        case Kind.TAGS:
            if not isinstance(value, Mapping):
                return None
            texts = _texts(list(value.values()))
            return None if texts is None else dict(zip(value, texts, strict=True))
        case _:
            return None


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _integer(value: object) -> int | None:
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)
    return None if isinstance(value, bool) else _only(int, value)


def _texts(value: object) -> list[Any] | None:
    if not isinstance(value, list):
        return None
    texts = [item if item is UNKNOWN else _text(item) for item in value]
    return None if None in texts else texts


def _only(kind: type, value: object) -> Any:
    return value if isinstance(value, kind) else None


def _describe(value: object) -> str:
    if isinstance(value, Opaque):
        return value.what
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list with something else in it" if value and not isinstance(value[0], Mapping) else "a list"
    return "true or false" if isinstance(value, bool) else f"a {type(value).__name__}"


def _choices(choices: tuple[Any, ...]) -> str:
    if len(choices) > 8:
        return f"from {choices[0]} to {choices[-1]}"
    return " or ".join(repr(choice) for choice in choices)


def _exactly_one(kind: ResourceType, given: Mapping[str, Any]) -> Failure | None:
    names = kind.exactly_one_of
    present = [name for name in names if name in given]
    if not names or len(present) == 1:
        return None
    return (present[1] if present else names[0], f"exactly one of {', '.join(names)} must be given")


def _kept_name(name: str, olds: Mapping[str, Any]) -> str | None:
    kept = olds.get(name)
    return kept if name in olds.get(DEFAULTS_KEY, []) and not holds_unknown(kept) else None


def _new_name(name: str, seed: bytes) -> str:
    ending = hashlib.sha256(seed + name.encode()).hexdigest() if seed else secrets.token_hex(4)
    return f"{name}-{ending[:7]}"

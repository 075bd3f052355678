"""Pure: the stored state of a resource, from its inputs and EC2's answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from infra.local.provider.schema.check import DEFAULTS_KEY
from infra.local.provider.schema.schema import Kind, Property, ResourceType
from infra.local.provider.wire import UNKNOWN, Properties

_SAME_SECRET: Final = (frozenset({"tags", "tagsAll"}), frozenset({"userData", "userDataBase64"}))
"""Properties that can hold the same text: a refresh may find under one name what was given under another."""


def stored(kind: ResourceType, inputs: Mapping[str, Any], live: Mapping[str, Any]) -> Properties:
    """Return the outputs of a resource that exists: its inputs, overlaid with EC2's values."""
    given = {name: value for name, value in inputs.items() if name in kind.inputs}
    return {**given, **live}


def planned(kind: ResourceType, inputs: Mapping[str, Any], default_tags: Mapping[str, str]) -> Properties:
    """Return the outputs of a resource that a preview would create: unknown where EC2 sets them."""
    outputs: Properties = dict.fromkeys(kind.computed_names(), UNKNOWN)
    outputs |= {name: value for name, value in inputs.items() if name in kind.inputs}
    return {**outputs, **_all_tags(kind, inputs, default_tags)}


def planned_update(
    kind: ResourceType,
    olds: Mapping[str, Any],
    news: Mapping[str, Any],
    changed: Collection[str],
    default_tags: Mapping[str, str],
) -> Properties:
    """Return the outputs of a resource that a preview would update: unknown where `changed` inputs affect them."""
    outputs = dict(olds)
    outputs |= {name: news.get(name) for name in kind.inputs if name in news or name in changed}
    outputs |= dict.fromkeys((name for each in changed for name in kind.recomputed.get(each, ())), UNKNOWN)
    return {**outputs, **_all_tags(kind, news, default_tags)}


def refreshed_inputs(kind: ResourceType, known: Mapping[str, Any], live: Mapping[str, Any]) -> Properties:
    """Return the inputs that describe the observed resource.

    A value that the program leaves to the cloud stays out; one that was added by hand (a tag, a description)
    appears. Without known inputs (import) every value is an input.
    """
    inputs: Properties = {}
    for name, prop in kind.inputs.items():
        found = live.get(name)
        if name not in live and name in known and not _must_be_there(prop, name):
            inputs[name] = known[name]
        elif found is not None and (name in known or not known or not prop.computed):
            inputs[name] = _as_given(prop, known.get(name), found)
    if DEFAULTS_KEY in known:
        inputs[DEFAULTS_KEY] = known[DEFAULTS_KEY]
    return {name: value for name, value in inputs.items() if name in known or value not in ({}, "", None)}


def secret_names(secrets: Collection[str]) -> frozenset[str]:
    """Return the names to seal when these inputs were secret: themselves and what derives from them."""
    return frozenset(secrets).union(*(group for group in _SAME_SECRET if not group.isdisjoint(secrets)))


def _must_be_there(prop: Property, name: str) -> bool:
    """Return whether EC2's answer always has the property when it is set: missing means removed."""
    return name in ("userData", "userDataBase64") or (prop.kind is Kind.TAGS and name == "tags")


def _as_given(prop: Property, given: object, found: Any) -> Any:
    if prop.kind is not Kind.OBJECT:
        return found
    if not isinstance(given, Mapping):
        return {name: value for name, value in found.items() if name in prop.fields}
    wanted = set(given) | {
        name for name, inner in prop.fields.items() if inner.kind is Kind.TAGS and found.get(name)
    }
    return {name: found[name] for name in prop.fields if name in wanted and name in found}


def _all_tags(kind: ResourceType, inputs: Mapping[str, Any], default_tags: Mapping[str, str]) -> Properties:
    if "tagsAll" not in kind.outputs:
        return {}
    own = inputs.get("tags")
    return {"tagsAll": UNKNOWN if own is UNKNOWN else {**default_tags, **(own or {})}}

"""The engine's property values as they stand in a protobuf struct, to and from plain Python values.

The engine writes what JSON cannot say in special ways: a value that is not known yet is one of a few fixed
strings, a secret is an object with a signature and the value inside. Numbers are always doubles.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from google.protobuf import struct_pb2

Properties: TypeAlias = dict[str, Any]

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SEALED: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"

UNKNOWN_SENTINEL: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_SENTINELS: Final = frozenset(
    {
        UNKNOWN_SENTINEL,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class Unknown:
    """The type of `UNKNOWN`, a value that only the deployment will bring."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Opaque:
    """A value that no property of this provider can hold: an asset, an archive, a resource reference."""

    what: str


@dataclass(frozen=True)
class Decoded:
    """Plain properties, and the names of those that held a secret at any depth."""

    values: Properties
    secrets: frozenset[str]


def decode(struct: struct_pb2.Struct) -> Decoded:
    """Return what the engine sent: without nulls, unknowns as `UNKNOWN`, whole numbers as int, secrets opened."""
    values: Properties = {}
    secrets: set[str] = set()
    for name, value in struct.fields.items():
        marks: list[bool] = []
        plain = _plain(value, marks)
        if marks:
            secrets.add(name)
        if plain is not None:
            values[name] = plain
    return Decoded(values, frozenset(secrets))


def encode(values: Mapping[str, Any], secrets: Collection[str] = ()) -> struct_pb2.Struct:
    """Return what the engine gets: without None, unknowns as a sentinel, `secrets` marked as secret."""
    struct = struct_pb2.Struct()
    for name, plain in values.items():
        if plain is None:
            continue
        value = _value(plain)
        if name in secrets:
            value = _sealed(value)
        struct.fields[name].CopyFrom(value)
    return struct


def holds_unknown(value: object) -> bool:
    """Return whether the value is unknown or holds an unknown at any depth."""
    if isinstance(value, Mapping):
        return any(holds_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_unknown(item) for item in value)
    return value is UNKNOWN


def _plain(value: struct_pb2.Value, marks: list[bool]) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWN_SENTINELS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_plain(item, marks) for item in value.list_value.values]
        case "struct_value":
            return _plain_struct(value.struct_value, marks)
        case _:
            return None


def _plain_struct(struct: struct_pb2.Struct, marks: list[bool]) -> Any:
    signature = struct.fields[SIGNATURE_KEY].string_value if SIGNATURE_KEY in struct.fields else ""
    if signature == SEALED:
        marks.append(True)
        return _plain(struct.fields["value"], marks)
    if signature == OUTPUT:
        if "secret" in struct.fields and struct.fields["secret"].bool_value:
            marks.append(True)
        return _plain(struct.fields["value"], marks) if "value" in struct.fields else UNKNOWN
    if signature:
        return Opaque(
            {ASSET: "an asset", ARCHIVE: "an archive", RESOURCE: "a resource"}.get(
                signature, "a special value"
            )
        )
    pairs = ((name, _plain(item, marks)) for name, item in struct.fields.items())
    return {name: item for name, item in pairs if item is not None}


def _value(plain: object) -> struct_pb2.Value:
    if plain is UNKNOWN:
        return struct_pb2.Value(string_value=UNKNOWN_SENTINEL)
    if isinstance(plain, bool):
        return struct_pb2.Value(bool_value=plain)
    if isinstance(plain, int | float):
        return struct_pb2.Value(number_value=plain)
    if isinstance(plain, str):
        return struct_pb2.Value(string_value=plain)
    if isinstance(plain, list | tuple):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_value(item) for item in plain]))
    if isinstance(plain, Mapping):
        return struct_pb2.Value(struct_value=encode(plain))
    raise TypeError(f"a {type(plain).__name__} cannot be sent to the engine")


def _sealed(value: struct_pb2.Value) -> struct_pb2.Value:
    sealed = struct_pb2.Struct()
    sealed.fields[SIGNATURE_KEY].string_value = SEALED
    sealed.fields["value"].CopyFrom(value)
    return struct_pb2.Value(struct_value=sealed)

"""Property values to and from the engine's wire format."""

from __future__ import annotations

import pytest
from google.protobuf import json_format, struct_pb2

from infra.local.provider import wire


def struct(value: dict[str, object]) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def secret(value: object) -> dict[str, object]:
    return {wire.SIGNATURE_KEY: wire.SEALED, "value": value}


def test_plain_values_come_back_as_they_went() -> None:
    values = {
        "text": "a",
        "whole": 8,
        "half": 0.5,
        "yes": True,
        "list": ["a", 1],
        "deep": {"er": {"no": False}},
    }
    back = wire.decode(wire.encode(values))
    assert back == wire.Decoded(values, frozenset())
    assert type(back.values["whole"]) is int


def test_null_is_omitted_in_both_directions() -> None:
    assert wire.decode(struct({"gone": None, "deep": {"gone": None}})).values == {"deep": {}}
    assert wire.encode({"gone": None}) == struct_pb2.Struct()


def test_a_secret_is_opened_and_its_property_is_named() -> None:
    decoded = wire.decode(struct({"userData": secret("word"), "tags": {"a": secret("b")}, "ami": "x"}))
    assert decoded.values == {"userData": "word", "tags": {"a": "b"}, "ami": "x"}
    assert decoded.secrets == {"userData", "tags"}


def test_a_sealed_property_stands_on_the_wire_as_the_engine_writes_secrets() -> None:
    encoded = wire.encode({"userData": "word", "ami": "x"}, secrets={"userData", "not-there"})
    assert json_format.MessageToDict(encoded) == {"userData": secret("word"), "ami": "x"}


@pytest.mark.parametrize(
    "sentinel",
    [
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    ],
)
def test_every_kind_of_unknown_is_unknown(sentinel: str) -> None:
    decoded = wire.decode(struct({"id": sentinel, "list": [sentinel], "hidden": secret(sentinel)}))
    assert decoded.values == {"id": wire.UNKNOWN, "list": [wire.UNKNOWN], "hidden": wire.UNKNOWN}
    assert all(wire.holds_unknown(value) for value in decoded.values.values())


def test_an_unknown_goes_out_as_the_sentinel_of_preview() -> None:
    encoded = wire.encode({"publicIp": wire.UNKNOWN})
    assert encoded["publicIp"] == "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def test_an_output_value_is_its_value_or_unknown() -> None:
    output = {wire.SIGNATURE_KEY: wire.OUTPUT, "secret": True, "dependencies": ["urn"]}
    decoded = wire.decode(struct({"known": {**output, "value": "a"}, "later": output}))
    assert decoded.values == {"known": "a", "later": wire.UNKNOWN}
    assert decoded.secrets == {"known", "later"}


def test_an_asset_is_kept_apart_from_any_text() -> None:
    decoded = wire.decode(struct({"userData": {wire.SIGNATURE_KEY: wire.ASSET, "text": "a"}}))
    assert decoded.values == {"userData": wire.Opaque("an asset")}


def test_what_the_wire_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="a bytes cannot be sent"):
        wire.encode({"userData": b"a"})

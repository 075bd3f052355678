"""What a program may give to a resource."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.provider.schema.check import DEFAULTS_KEY, check_properties, check_resource
from infra.local.provider.schema.schema import ResourceType
from infra.local.provider.types import address, instance, key_pair, lookups, security_group
from infra.local.provider.wire import UNKNOWN, Opaque

INSTANCE = {"ami": "ami-1", "instanceType": "t3.small"}
RULE = {"securityGroupId": "sg-1", "ipProtocol": "tcp", "cidrIpv4": "10.0.0.0/8"}


def failures(kind: ResourceType, given: dict[str, Any]) -> list[tuple[str, str]]:
    return check_resource(kind, given, {}, "it").failures


@pytest.mark.parametrize(
    ("kind", "given", "property_", "reason"),
    [
        (instance.INSTANCE, {"ami": "a"}, "instanceType", "is required and was not given"),
        (instance.INSTANCE, {**INSTANCE, "userdata": "x"}, "userdata", "the nearest it knows is userData"),
        (instance.INSTANCE, {**INSTANCE, "hibernation": True}, "hibernation", "does not know it"),
        (
            instance.INSTANCE,
            {**INSTANCE, "monitoring": "maybe"},
            "monitoring",
            "must be true or false, not a str",
        ),
        (instance.INSTANCE, {**INSTANCE, "tags": ["a"]}, "tags", "must be a map of strings"),
        (instance.INSTANCE, {**INSTANCE, "tags": {"a": {}}}, "tags", "must be a map of strings"),
        (
            instance.INSTANCE,
            {**INSTANCE, "vpcSecurityGroupIds": "sg-1"},
            "vpcSecurityGroupIds",
            "a set of strings",
        ),
        (
            instance.INSTANCE,
            {**INSTANCE, "userData": Opaque("an asset")},
            "userData",
            "must be a string, not an asset",
        ),
        (
            instance.INSTANCE,
            {**INSTANCE, "rootBlockDevice": {"volumeSize": 1.5}},
            "rootBlockDevice.volumeSize",
            "must be a whole number, not a float",
        ),
        (
            instance.INSTANCE,
            {**INSTANCE, "rootBlockDevice": {"volumeSiz": 8}},
            "rootBlockDevice.volumeSiz",
            "the nearest it knows is volumeSize",
        ),
        (
            instance.INSTANCE,
            {**INSTANCE, "metadataOptions": {"httpTokens": "sometimes"}},
            "metadataOptions.httpTokens",
            "must be 'optional' or 'required', not 'sometimes'",
        ),
        (
            instance.INSTANCE,
            {**INSTANCE, "metadataOptions": {"httpPutResponseHopLimit": 65}},
            "metadataOptions.httpPutResponseHopLimit",
            "must be from 1 to 64, not 65",
        ),
        (
            instance.INSTANCE,
            {**INSTANCE, "userData": "a", "userDataBase64": "YQ=="},
            "userData",
            "cannot be given together with userDataBase64",
        ),
        (
            security_group.SECURITY_GROUP,
            {"name": "a", "namePrefix": "b"},
            "name",
            "cannot be given together with namePrefix",
        ),
        (key_pair.KEY_PAIR, {}, "publicKey", "is required and was not given"),
        (
            security_group.INGRESS_RULE,
            {**RULE, "cidrIpv6": "::/0"},
            "cidrIpv6",
            "exactly one of cidrIpv4, cidrIpv6",
        ),
        (
            security_group.EGRESS_RULE,
            {"securityGroupId": "a", "ipProtocol": "-1"},
            "cidrIpv4",
            "exactly one of",
        ),
        (address.EIP, {"domain": "standard"}, "domain", "must be 'vpc', not 'standard'"),
        (address.EIP_ASSOCIATION, {"instanceId": "i-1"}, "allocationId", "is required and was not given"),
    ],
)
def test_a_wrong_input_is_refused_by_name_and_reason(
    kind: ResourceType, given: dict[str, Any], property_: str, reason: str
) -> None:
    found = failures(kind, given)
    assert [name for name, _ in found] == [property_]
    assert reason in found[0][1]


def test_every_wrong_input_is_named_at_once() -> None:
    found = failures(instance.INSTANCE, {"monitoring": [], "colour": "red"})
    assert {name for name, _ in found} == {"ami", "instanceType", "monitoring", "colour"}


def test_defaults_are_filled_in_and_recorded() -> None:
    checked = check_resource(instance.INSTANCE, {**INSTANCE, "rootBlockDevice": {"volumeSize": 8}}, {}, "it")
    assert checked.inputs["rootBlockDevice"] == {"volumeSize": 8, "deleteOnTermination": True}
    assert checked.inputs["userDataReplaceOnChange"] is False
    assert checked.inputs[DEFAULTS_KEY] == ["userDataReplaceOnChange"]


def test_numbers_and_flags_may_come_as_words_and_texts_as_numbers() -> None:
    checked = check_resource(
        security_group.INGRESS_RULE, {**RULE, "fromPort": "22", "ipProtocol": 6}, {}, "it"
    )
    assert checked.inputs["fromPort"] == 22
    assert checked.inputs["ipProtocol"] == "6"
    checked = check_resource(instance.INSTANCE, {**INSTANCE, "monitoring": "true"}, {}, "it")
    assert checked.inputs["monitoring"] is True


def test_unknown_values_pass_wherever_they_stand() -> None:
    given = {
        "ami": UNKNOWN,
        "instanceType": "t3.small",
        "vpcSecurityGroupIds": [UNKNOWN],
        "rootBlockDevice": UNKNOWN,
        "metadataOptions": {"httpTokens": UNKNOWN},
        "tags": {"Name": UNKNOWN},
    }
    checked = check_resource(instance.INSTANCE, given, {}, "it")
    assert checked.failures == []
    assert {name: checked.inputs[name] for name in given} == given


def test_a_nameless_group_gets_the_resource_s_name_with_seven_hex_digits() -> None:
    checked = check_resource(security_group.SECURITY_GROUP, {}, {}, "web", b"seed")
    name, ending = checked.inputs["name"].split("-")
    assert name == "web"
    assert len(ending) == 7
    assert int(ending, 16) >= 0
    assert check_resource(security_group.SECURITY_GROUP, {}, {}, "web", b"seed").inputs == checked.inputs


def test_a_made_up_name_stays_while_the_resource_does() -> None:
    first = check_resource(key_pair.KEY_PAIR, {"publicKey": "k"}, {}, "host").inputs
    assert check_resource(key_pair.KEY_PAIR, {"publicKey": "k"}, first, "host").inputs == first


def test_a_name_removed_from_the_program_is_generated_again() -> None:
    first = check_resource(key_pair.KEY_PAIR, {"publicKey": "k", "keyName": "mine"}, {}, "host").inputs
    assert check_resource(key_pair.KEY_PAIR, {"publicKey": "k"}, first, "host").inputs["keyName"] != "mine"


def test_a_prefix_leaves_the_name_to_creation() -> None:
    assert (
        "name" not in check_resource(security_group.SECURITY_GROUP, {"namePrefix": "web-"}, {}, "it").inputs
    )


def test_filters_of_a_look_up_are_checked_one_by_one() -> None:
    given = {"filters": [{"name": "a", "values": ["b"]}, {"name": "c", "value": ["d"]}]}
    found = check_properties(lookups.GET_AMI.inputs, given).failures
    assert {name for name, _ in found} == {"filters[1].value", "filters[1].values"}

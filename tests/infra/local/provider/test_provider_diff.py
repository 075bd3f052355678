"""Which change of which property does what."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.provider.schema.diff import Change, compare
from infra.local.provider.schema.schema import ResourceType
from infra.local.provider.types import address, instance, key_pair, security_group
from infra.local.provider.wire import UNKNOWN

INSTANCE: dict[str, Any] = {
    "ami": "ami-1",
    "instanceType": "t3.small",
    "keyName": "k",
    "subnetId": "subnet-1",
    "vpcSecurityGroupIds": ["sg-1", "sg-2"],
    "userData": "a",
    "userDataReplaceOnChange": True,
    "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 2},
    "rootBlockDevice": {"volumeSize": 8, "encrypted": True, "deleteOnTermination": True, "tags": {"a": "b"}},
    "tags": {"Name": "one", "io.x": "1"},
}
GROUP = {"name": "g", "description": "d", "vpcId": "vpc-1", "tags": {}}
KEY = {"publicKey": "ssh-ed25519 A", "keyName": "k"}
RULE = {
    "securityGroupId": "sg-1",
    "ipProtocol": "tcp",
    "fromPort": 22,
    "toPort": 22,
    "cidrIpv4": "10.0.0.0/8",
}
EIP = {"domain": "vpc"}
LINK = {"allocationId": "e", "instanceId": "i"}


@pytest.mark.parametrize(
    ("kind", "olds", "changed", "path", "replaces"),
    [
        (instance.INSTANCE, INSTANCE, {"ami": "ami-2"}, "ami", True),
        (instance.INSTANCE, INSTANCE, {"keyName": "other"}, "keyName", True),
        (instance.INSTANCE, INSTANCE, {"subnetId": "subnet-2"}, "subnetId", True),
        (instance.INSTANCE, INSTANCE, {"userData": "b"}, "userData", True),
        (instance.INSTANCE, INSTANCE, {"instanceType": "t3.large"}, "instanceType", False),
        (instance.INSTANCE, INSTANCE, {"vpcSecurityGroupIds": ["sg-3"]}, "vpcSecurityGroupIds", False),
        (instance.INSTANCE, INSTANCE, {"monitoring": True}, "monitoring", False),
        (instance.INSTANCE, INSTANCE, {"tags": {"Name": "two", "io.x": "1"}}, "tags.Name", False),
        (instance.INSTANCE, INSTANCE, {"tags": {"Name": "one", "io.x": "2"}}, 'tags["io.x"]', False),
        (
            instance.INSTANCE,
            INSTANCE,
            {"metadataOptions": {"httpTokens": "optional", "httpPutResponseHopLimit": 2}},
            "metadataOptions.httpTokens",
            False,
        ),
        (
            instance.INSTANCE,
            INSTANCE,
            {"rootBlockDevice": {**INSTANCE["rootBlockDevice"], "encrypted": False}},
            "rootBlockDevice.encrypted",
            True,
        ),
        (
            instance.INSTANCE,
            INSTANCE,
            {"rootBlockDevice": {**INSTANCE["rootBlockDevice"], "volumeSize": 16}},
            "rootBlockDevice.volumeSize",
            False,
        ),
        (key_pair.KEY_PAIR, KEY, {"publicKey": "ssh-ed25519 B"}, "publicKey", True),
        (key_pair.KEY_PAIR, KEY, {"keyName": "other"}, "keyName", True),
        (security_group.SECURITY_GROUP, GROUP, {"description": "e"}, "description", True),
        (security_group.SECURITY_GROUP, GROUP, {"name": "h"}, "name", True),
        (security_group.SECURITY_GROUP, GROUP, {"vpcId": "vpc-2"}, "vpcId", True),
        (security_group.INGRESS_RULE, RULE, {"securityGroupId": "sg-2"}, "securityGroupId", True),
        (security_group.INGRESS_RULE, RULE, {"fromPort": 23}, "fromPort", False),
        (security_group.INGRESS_RULE, RULE, {"cidrIpv4": "0.0.0.0/0"}, "cidrIpv4", False),
        (security_group.EGRESS_RULE, RULE, {"ipProtocol": "udp"}, "ipProtocol", False),
        (address.EIP_ASSOCIATION, LINK, {"instanceId": "j"}, "instanceId", True),
        (address.EIP_ASSOCIATION, LINK, {"allocationId": "f"}, "allocationId", True),
        (address.EIP, EIP, {"instance": "i"}, "instance", False),
    ],
)
def test_a_change_replaces_or_updates_as_on_the_real_provider(
    kind: ResourceType, olds: dict[str, Any], changed: dict[str, Any], path: str, replaces: bool
) -> None:
    found = compare(kind, olds, {**olds, **changed})
    assert [(change.path, change.replaces) for change in found.changes] == [(path, replaces)]
    assert found.replaces == ((path,) if replaces else ())
    assert found.changed == {next(iter(changed))}


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (instance.INSTANCE, INSTANCE),
        (security_group.SECURITY_GROUP, GROUP),
        (key_pair.KEY_PAIR, KEY),
        (security_group.INGRESS_RULE, RULE),
        (address.EIP, EIP),
        (address.EIP_ASSOCIATION, LINK),
    ],
)
def test_equal_inputs_are_no_change(kind: ResourceType, inputs: dict[str, Any]) -> None:
    assert compare(kind, inputs, dict(inputs)).changes == ()


def test_user_data_without_the_replace_flag_is_an_update() -> None:
    olds = {**INSTANCE, "userDataReplaceOnChange": False}
    found = compare(instance.INSTANCE, olds, {**olds, "userData": "b"})
    assert [(change.path, change.replaces) for change in found.changes] == [("userData", False)]


def test_the_order_of_security_groups_does_not_matter() -> None:
    assert (
        compare(instance.INSTANCE, INSTANCE, {**INSTANCE, "vpcSecurityGroupIds": ["sg-2", "sg-1"]}).changes
        == ()
    )


@pytest.mark.parametrize(
    "name", ["metadataOptions", "rootBlockDevice", "vpcSecurityGroupIds", "keyName", "subnetId"]
)
def test_what_is_taken_out_of_the_program_stays_as_the_cloud_has_it(name: str) -> None:
    news = {key: value for key, value in INSTANCE.items() if key != name}
    assert compare(instance.INSTANCE, INSTANCE, news).changes == ()


def test_a_default_that_an_older_state_did_not_record_is_no_change() -> None:
    olds = {key: value for key, value in INSTANCE.items() if key != "userDataReplaceOnChange"}
    assert compare(instance.INSTANCE, olds, {**olds, "userDataReplaceOnChange": False}).changes == ()


def test_empty_tags_and_no_tags_are_the_same() -> None:
    assert compare(address.EIP, EIP, {**EIP, "tags": {}}).changes == ()


def test_added_and_removed_tags_are_distinguished() -> None:
    olds, news = {**EIP, "tags": {"old": "1"}}, {**EIP, "tags": {"new": "1"}}
    found = compare(address.EIP, olds, news)
    assert {(change.path, change.change) for change in found.changes} == {
        ("tags.new", Change.ADD),
        ("tags.old", Change.DELETE),
    }


def test_a_rule_that_goes_from_ipv4_to_ipv6_is_replaced() -> None:
    news = {**{key: value for key, value in RULE.items() if key != "cidrIpv4"}, "cidrIpv6": "::/0"}
    assert set(compare(security_group.INGRESS_RULE, RULE, news).replaces) == {"cidrIpv4", "cidrIpv6"}


def test_a_value_that_is_not_known_yet_counts_as_changed() -> None:
    assert compare(address.EIP_ASSOCIATION, LINK, {**LINK, "instanceId": UNKNOWN}).replaces == ("instanceId",)
    groups = {**INSTANCE, "vpcSecurityGroupIds": [UNKNOWN, "sg-2"]}
    assert compare(instance.INSTANCE, INSTANCE, groups).changed == {"vpcSecurityGroupIds"}


def test_ignored_properties_do_not_count() -> None:
    assert (
        compare(instance.INSTANCE, INSTANCE, {**INSTANCE, "ami": "ami-2"}, frozenset({"ami"})).changes == ()
    )


def test_a_fixed_name_makes_the_old_resource_go_first() -> None:
    assert compare(key_pair.KEY_PAIR, KEY, {**KEY, "publicKey": "ssh-ed25519 B"}).delete_first
    assert not compare(key_pair.KEY_PAIR, KEY, {**KEY, "keyName": "other"}).delete_first
    made_up = {**KEY, "__defaults": ["keyName"]}
    assert not compare(key_pair.KEY_PAIR, made_up, {**made_up, "publicKey": "ssh-ed25519 B"}).delete_first

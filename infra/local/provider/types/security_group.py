"""Security groups and their rules."""

# Every family has the same methods and arguments, needed or not.
# ruff: noqa: ARG002

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.ec2 import tags
from infra.local.provider.errors import ProviderError
from infra.local.provider.schema.schema import TAGS, AutoName, Kind, Property, ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.wire import Properties

_NO_GROUP: Final = ("InvalidGroup.NotFound", "InvalidGroupId.Malformed", "InvalidGroupId.NotFound")
_NO_RULE: Final = ("InvalidSecurityGroupRuleId.NotFound", "InvalidSecurityGroupRuleId.Malformed", *_NO_GROUP)
_ALL_PROTOCOLS: Final = "-1"
_PROTOCOL_NAMES: Final = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": _ALL_PROTOCOLS}


SECURITY_GROUP: Final = ResourceType(
    "aws:ec2/securityGroup:SecurityGroup",
    inputs={
        "name": Property(replaces=True, computed=True, conflicts=("namePrefix",)),
        "namePrefix": Property(replaces=True, computed=True),
        "description": Property(replaces=True, default="Managed by Pulumi"),
        "vpcId": Property(replaces=True, computed=True),
        "tags": TAGS,
    },
    outputs=("arn", "ownerId", "tagsAll"),
    auto_name=AutoName("name", unless="namePrefix"),
)


def _rule(token: str) -> ResourceType:
    return ResourceType(
        token,
        inputs={
            "securityGroupId": Property(required=True, replaces=True),
            "ipProtocol": Property(required=True),
            "fromPort": Property(Kind.INTEGER),
            "toPort": Property(Kind.INTEGER),
            "cidrIpv4": Property(),
            "cidrIpv6": Property(),
            "description": Property(),
            "tags": TAGS,
        },
        outputs=("arn", "securityGroupRuleId", "tagsAll"),
        exactly_one_of=("cidrIpv4", "cidrIpv6"),
    )


INGRESS_RULE: Final = _rule("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
EGRESS_RULE: Final = _rule("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")


class SecurityGroup:
    """`aws:ec2/securityGroup:SecurityGroup`."""

    kind: Final = SECURITY_GROUP

    def create(self, cloud: Cloud, inputs: Mapping[str, Any], seconds: float) -> str:
        name = inputs.get("name") or f"{inputs['namePrefix']}{secrets.token_hex(13)}"
        answer = cloud.call(
            "CreateSecurityGroup",
            GroupName=name,
            Description=inputs["description"],
            VpcId=inputs.get("vpcId"),
            TagSpecifications=tags.specifications(cloud, "security-group", inputs.get("tags")),
        )
        id_ = str(answer["GroupId"])
        try:
            _revoke_default_egress(cloud, id_)
        except ProviderError:
            self.delete(cloud, id_, seconds)
            raise
        return id_

    def read(self, cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties | None:
        group = _find_group(cloud, id_)
        if group is None:
            return None
        owner, region = group["OwnerId"], cloud.config.region
        return {
            "arn": group.get("SecurityGroupArn") or f"arn:aws:ec2:{region}:{owner}:security-group/{id_}",
            "name": group["GroupName"],
            "description": group["Description"],
            "vpcId": group.get("VpcId"),
            "ownerId": owner,
            **tags.live(cloud, group.get("Tags"), known),
        }

    def update(
        self,
        cloud: Cloud,
        id_: str,
        olds: Mapping[str, Any],
        news: Mapping[str, Any],
        seconds: float,
    ) -> None:
        tags.replace(cloud, id_, olds.get("tags"), news.get("tags"))

    def delete(self, cloud: Cloud, id_: str, seconds: float) -> None:
        cloud.delete("DeleteSecurityGroup", _NO_GROUP, seconds, GroupId=id_)


@dataclass(frozen=True)
class SecurityGroupRule:
    """`aws:vpc/securityGroupIngressRule` and `…EgressRule`, which differ only in direction."""

    egress: bool

    @property
    def kind(self) -> ResourceType:
        return EGRESS_RULE if self.egress else INGRESS_RULE

    def create(self, cloud: Cloud, inputs: Mapping[str, Any], seconds: float) -> str:
        answer = cloud.call(
            "AuthorizeSecurityGroupEgress" if self.egress else "AuthorizeSecurityGroupIngress",
            GroupId=inputs["securityGroupId"],
            IpPermissions=[_permission(inputs)],
            TagSpecifications=tags.specifications(cloud, "security-group-rule", inputs.get("tags")),
        )
        return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def read(self, cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties | None:
        rule = _find_rule(cloud, id_, self.egress)
        if rule is None:
            return None
        owner, region = rule.get("GroupOwnerId", ""), cloud.config.region
        protocol, given = rule["IpProtocol"], str(known.get("ipProtocol", ""))
        ports = {"fromPort": rule.get("FromPort"), "toPort": rule.get("ToPort")}
        if protocol == _ALL_PROTOCOLS:
            ports = {name: known.get(name) for name in ports}
        return {
            "arn": rule.get("SecurityGroupRuleArn")
            or f"arn:aws:ec2:{region}:{owner}:security-group-rule/{id_}",
            "securityGroupRuleId": id_,
            "securityGroupId": rule["GroupId"],
            "ipProtocol": given if _protocol(given) == protocol else protocol,
            **ports,
            "cidrIpv4": rule.get("CidrIpv4"),
            "cidrIpv6": rule.get("CidrIpv6"),
            "description": rule.get("Description") or None,
            **tags.live(cloud, rule.get("Tags"), known),
        }

    def update(
        self,
        cloud: Cloud,
        id_: str,
        olds: Mapping[str, Any],
        news: Mapping[str, Any],
        seconds: float,
    ) -> None:
        if _rule_request(olds) != _rule_request(news):
            cloud.call(
                "ModifySecurityGroupRules",
                GroupId=news["securityGroupId"],
                SecurityGroupRules=[{"SecurityGroupRuleId": id_, "SecurityGroupRule": _rule_request(news)}],
            )
        tags.replace(cloud, id_, olds.get("tags"), news.get("tags"))

    def delete(self, cloud: Cloud, id_: str, seconds: float) -> None:
        rule = _find_rule(cloud, id_, self.egress)
        if rule is None:
            return
        operation = "RevokeSecurityGroupEgress" if self.egress else "RevokeSecurityGroupIngress"
        missing = (*_NO_RULE, "InvalidPermission.NotFound")
        cloud.delete(operation, missing, seconds, GroupId=rule["GroupId"], SecurityGroupRuleIds=[id_])


def _find_group(cloud: Cloud, id_: str) -> dict[str, Any] | None:
    answer = cloud.find("DescribeSecurityGroups", _NO_GROUP, GroupIds=[id_])
    groups = answer["SecurityGroups"] if answer else []
    return groups[0] if groups else None


def _find_rule(cloud: Cloud, id_: str, egress: bool) -> dict[str, Any] | None:
    answer = cloud.find("DescribeSecurityGroupRules", _NO_RULE, SecurityGroupRuleIds=[id_])
    rules = [rule for rule in (answer["SecurityGroupRules"] if answer else []) if rule["IsEgress"] is egress]
    return rules[0] if rules else None


def _revoke_default_egress(cloud: Cloud, id_: str) -> None:
    """Remove EC2's default egress rule of a new group: the program's rules are the only ones."""
    group = _find_group(cloud, id_)
    permissions = group.get("IpPermissionsEgress") if group else None
    if permissions:
        kept = [{name: value for name, value in each.items() if value} for each in permissions]
        cloud.call("RevokeSecurityGroupEgress", GroupId=id_, IpPermissions=kept)


def _protocol(given: str) -> str:
    return _PROTOCOL_NAMES.get(given.lower(), given.lower())


def _permission(inputs: Mapping[str, Any]) -> dict[str, Any]:
    request = _rule_request(inputs)
    cidr: dict[str, Any] = {
        name: request.pop(name) for name in ("CidrIpv4", "CidrIpv6", "Description") if name in request
    }
    if not cidr.get("Description"):
        cidr.pop("Description", None)
    if "CidrIpv4" in cidr:
        cidr["CidrIp"] = cidr.pop("CidrIpv4")
        return {**request, "IpRanges": [cidr]}
    return {**request, "Ipv6Ranges": [cidr]}


def _rule_request(inputs: Mapping[str, Any]) -> dict[str, Any]:
    protocol = _protocol(str(inputs.get("ipProtocol", "")))
    everything = protocol == _ALL_PROTOCOLS
    request: dict[str, Any] = {
        "IpProtocol": protocol,
        "FromPort": -1 if everything else inputs.get("fromPort"),
        "ToPort": -1 if everything else inputs.get("toPort"),
        "CidrIpv4": inputs.get("cidrIpv4"),
        "CidrIpv6": inputs.get("cidrIpv6"),
        "Description": inputs.get("description", ""),
    }
    return {name: value for name, value in request.items() if value is not None}

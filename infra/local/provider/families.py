"""Which family serves which type, and which look-up which function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from infra.local.provider import schema
from infra.local.provider.address import Eip, EipAssociation
from infra.local.provider.image import get_ami, get_vpc
from infra.local.provider.instance import Instance
from infra.local.provider.key_pair import KeyPair
from infra.local.provider.security_group import SecurityGroup, SecurityGroupRule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.local.provider.cloud import Cloud
    from infra.local.provider.family import Family
    from infra.local.provider.wire import Properties

FAMILIES: Final[Mapping[str, Family]] = {
    schema.SECURITY_GROUP.token: SecurityGroup(),
    schema.INGRESS_RULE.token: SecurityGroupRule(egress=False),
    schema.EGRESS_RULE.token: SecurityGroupRule(egress=True),
    schema.KEY_PAIR.token: KeyPair(),
    schema.INSTANCE.token: Instance(),
    schema.EIP.token: Eip(),
    schema.EIP_ASSOCIATION.token: EipAssociation(),
}
LOOKUPS: Final[Mapping[str, Callable[[Cloud, Mapping[str, Any]], Properties]]] = {
    schema.GET_AMI.token: get_ami,
    schema.GET_VPC.token: get_vpc,
}

"""Which family serves which type, and which look-up which function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.schema import schema
from infra.local.provider.types.address import Eip, EipAssociation
from infra.local.provider.types.instance import Instance
from infra.local.provider.types.key_pair import KeyPair
from infra.local.provider.types.lookups import get_ami, get_vpc
from infra.local.provider.types.security_group import SecurityGroup, SecurityGroupRule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.types.family import Family
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

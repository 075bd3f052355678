"""The types and functions that the provider serves, by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.types.address import Eip, EipAssociation
from infra.local.provider.types.instance import Instance
from infra.local.provider.types.key_pair import KeyPair
from infra.local.provider.types.lookups import GET_AMI, GET_VPC, get_ami, get_vpc
from infra.local.provider.types.security_group import SecurityGroup, SecurityGroupRule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.schema.schema import Function
    from infra.local.provider.types.family import Family
    from infra.local.provider.wire import Properties

FAMILIES: Final[Mapping[str, Family]] = {
    family.kind.token: family
    for family in (
        SecurityGroup(),
        SecurityGroupRule(egress=False),
        SecurityGroupRule(egress=True),
        KeyPair(),
        Instance(),
        Eip(),
        EipAssociation(),
    )
}
FUNCTIONS: Final[Mapping[str, Function]] = {function.token: function for function in (GET_AMI, GET_VPC)}
LOOKUPS: Final[Mapping[str, Callable[[Cloud, Mapping[str, Any]], Properties]]] = {
    GET_AMI.token: get_ami,
    GET_VPC.token: get_vpc,
}

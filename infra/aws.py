"""The part of pulumi_aws that the program uses, imported without the rest.

`pulumi_aws.ec2` imports some 180 modules, one for each resource type of EC2, and every engine run would wait for
them. The module of one resource needs none of the others, so it is imported without its packages' own code.
Afterwards the packages are as before: a later import of pulumi_aws yields all of it, with these very classes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from types import ModuleType

_ROOT = "pulumi_aws"
_PACKAGES = (_ROOT, f"{_ROOT}.ec2", f"{_ROOT}.vpc")


@contextmanager
def _packages_without_their_code() -> Iterator[None]:
    """Install packages without code; none where pulumi_aws is imported already, or is not installed."""
    path: list[str] | None = None
    made = []
    for name in () if _ROOT in sys.modules else _PACKAGES:
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.submodule_search_locations is None:
            break
        package = ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules[name] = package
        made.append(name)
        path = path or list(spec.submodule_search_locations)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


with _packages_without_their_code():
    from pulumi_aws.ec2._enums import InstanceType as InstanceType
    from pulumi_aws.ec2.eip import Eip as Eip
    from pulumi_aws.ec2.eip_association import EipAssociation as EipAssociation
    from pulumi_aws.ec2.get_ami import get_ami_output as get_ami_output
    from pulumi_aws.ec2.instance import Instance as Instance
    from pulumi_aws.ec2.key_pair import KeyPair as KeyPair
    from pulumi_aws.ec2.security_group import SecurityGroup as SecurityGroup
    from pulumi_aws.vpc.security_group_egress_rule import SecurityGroupEgressRule as SecurityGroupEgressRule
    from pulumi_aws.vpc.security_group_ingress_rule import (
        SecurityGroupIngressRule as SecurityGroupIngressRule,
    )

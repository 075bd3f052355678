"""Network access to the host: one security group, closed until a port is opened by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.aws import SecurityGroup, SecurityGroupEgressRule, SecurityGroupIngressRule
from provisioning.config.service_facts import PUBLIC_PORTS


class StackNetwork(pulumi.ComponentResource):
    """The host's security group.

    Produces one SecurityGroup, one SecurityGroupIngressRule per (port, CIDR) and one egress rule. A port without
    a CIDR has no rule: it is closed.
    """

    group_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        cidrs: Mapping[str, Sequence[str]],
        tags: Mapping[str, str],
        version: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("onebox:infra:StackNetwork", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, version=version)
        group = SecurityGroup(
            name,
            # A change of this text would replace the group of a running host: it stays as it is.
            description="onebox host: ssh, api, ui, prometheus",
            tags={**tags, "Name": name},
            opts=child,
        )
        for port_name, networks in cidrs.items():
            for network in networks:
                _ingress(name, group, port_name, network, tags, child)
        SecurityGroupEgressRule(
            f"{name}-egress",
            security_group_id=group.id,
            ip_protocol="-1",
            cidr_ipv4="0.0.0.0/0",
            description="the host fetches packages and images",
            tags=dict(tags),
            opts=child,
        )
        self.group_id = group.id
        self.register_outputs({"group_id": group.id})


def _ingress(
    name: str,
    group: SecurityGroup,
    port_name: str,
    network: str,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    port = PUBLIC_PORTS[port_name]
    version_6 = ":" in network
    SecurityGroupIngressRule(
        f"{name}-{port_name}-{network}",
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        cidr_ipv4=None if version_6 else network,
        cidr_ipv6=network if version_6 else None,
        description=f"{port_name} from {network}",
        tags=dict(tags),
        opts=opts,
    )

"""Elastic addresses and their associations."""

# Every family has the same methods and arguments, needed or not.
# ruff: noqa: ARG002

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.ec2 import tags
from infra.local.provider.errors import NotReadyError, ProviderError
from infra.local.provider.schema.schema import TAGS, Property, ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.wire import Properties

_NO_ADDRESS: Final = (
    "InvalidAllocationID.NotFound",
    "InvalidAllocationID.Malformed",
    "InvalidAddress.NotFound",
)
_NO_ASSOCIATION: Final = ("InvalidAssociationID.NotFound", "InvalidAssociationID.Malformed", *_NO_ADDRESS)


EIP: Final = ResourceType(
    "aws:ec2/eip:Eip",
    inputs={
        "domain": Property(replaces=True, default="vpc", choices=("vpc",)),
        "instance": Property(computed=True),
        "tags": TAGS,
    },
    outputs=(
        "allocationId",
        "arn",
        "associationId",
        "networkInterface",
        "privateDns",
        "privateIp",
        "publicIp",
        "publicDns",
        "tagsAll",
    ),
    recomputed={"instance": ("associationId", "networkInterface", "privateDns", "privateIp")},
)

EIP_ASSOCIATION: Final = ResourceType(
    "aws:ec2/eipAssociation:EipAssociation",
    inputs={
        "allocationId": Property(required=True, replaces=True),
        "instanceId": Property(required=True, replaces=True),
    },
    outputs=("networkInterfaceId", "privateIpAddress", "publicIp"),
)


class Eip:
    """`aws:ec2/eip:Eip`; its id is the allocation's."""

    kind: Final = EIP

    def create(self, cloud: Cloud, inputs: Mapping[str, Any], seconds: float) -> str:
        answer = cloud.call(
            "AllocateAddress",
            Domain=inputs["domain"],
            TagSpecifications=tags.specifications(cloud, "elastic-ip", inputs.get("tags")),
        )
        id_ = str(answer["AllocationId"])
        if inputs.get("instance"):
            try:
                _associate(cloud, id_, inputs["instance"])
            except ProviderError as error:
                raise NotReadyError(id_, error) from error
        return id_

    def read(self, cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties | None:
        address = _find(cloud, id_)
        if address is None:
            return None
        region = cloud.config.region
        public = address["PublicIp"]
        return {
            "arn": f"arn:aws:ec2:{region}::elastic-ip/{id_}",
            "allocationId": id_,
            "domain": address.get("Domain"),
            "publicIp": public,
            "publicDns": _dns("ec2", public, region, "compute.amazonaws.com"),
            "privateIp": address.get("PrivateIpAddress") or None,
            "privateDns": _dns("ip", address.get("PrivateIpAddress"), region, "compute.internal"),
            "associationId": address.get("AssociationId") or "",
            "instance": address.get("InstanceId") or "",
            "networkInterface": address.get("NetworkInterfaceId") or "",
            **tags.live(cloud, address.get("Tags"), known),
        }

    def update(
        self,
        cloud: Cloud,
        id_: str,
        olds: Mapping[str, Any],
        news: Mapping[str, Any],
        seconds: float,
    ) -> None:
        wanted = news.get("instance")
        if wanted and wanted != olds.get("instance"):
            _associate(cloud, id_, wanted)
        elif olds.get("instance") and wanted == "":
            _disassociate(cloud, _find(cloud, id_))
        tags.replace(cloud, id_, olds.get("tags"), news.get("tags"))

    def delete(self, cloud: Cloud, id_: str, seconds: float) -> None:
        _disassociate(cloud, _find(cloud, id_))
        cloud.delete("ReleaseAddress", _NO_ADDRESS, seconds, AllocationId=id_)


class EipAssociation:
    """`aws:ec2/eipAssociation:EipAssociation`; its id is the association's."""

    kind: Final = EIP_ASSOCIATION

    def create(self, cloud: Cloud, inputs: Mapping[str, Any], seconds: float) -> str:
        return _associate(cloud, inputs["allocationId"], inputs["instanceId"])

    def read(self, cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties | None:
        address = _find_association(cloud, id_)
        if address is None:
            return None
        return {
            "allocationId": address["AllocationId"],
            "instanceId": address.get("InstanceId"),
            "networkInterfaceId": address.get("NetworkInterfaceId"),
            "privateIpAddress": address.get("PrivateIpAddress"),
            "publicIp": address["PublicIp"],
        }

    def update(
        self, cloud: Cloud, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any], seconds: float
    ) -> None:
        """Do nothing: every change of an association creates a new one."""

    def delete(self, cloud: Cloud, id_: str, seconds: float) -> None:
        # An association that moved has a new id: only one that still has ours is removed.
        if _find_association(cloud, id_):
            cloud.delete("DisassociateAddress", _NO_ASSOCIATION, seconds, AssociationId=id_)


def _find(cloud: Cloud, allocation: str) -> dict[str, Any] | None:
    answer = cloud.find("DescribeAddresses", _NO_ADDRESS, AllocationIds=[allocation])
    addresses = answer["Addresses"] if answer else []
    return addresses[0] if addresses else None


def _find_association(cloud: Cloud, association: str) -> dict[str, Any] | None:
    filters = [{"Name": "association-id", "Values": [association]}]
    answer = cloud.find("DescribeAddresses", _NO_ASSOCIATION, Filters=filters)
    addresses = answer["Addresses"] if answer else []
    return addresses[0] if addresses else None


def _associate(cloud: Cloud, allocation: str, instance: str) -> str:
    answer = cloud.call(
        "AssociateAddress", AllocationId=allocation, InstanceId=instance, AllowReassociation=True
    )
    return str(answer["AssociationId"])


def _disassociate(cloud: Cloud, address: Mapping[str, Any] | None) -> None:
    association = address.get("AssociationId") if address else None
    if association:
        cloud.find("DisassociateAddress", _NO_ASSOCIATION, AssociationId=association)


def _dns(prefix: str, address: str | None, region: str, domain: str) -> str | None:
    return f"{prefix}-{address.replace('.', '-')}.{region}.{domain}" if address else None

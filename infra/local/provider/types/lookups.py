"""The functions `getAmi` and `getVpc`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.ec2 import tags
from infra.local.provider.errors import InvalidArgumentsError
from infra.local.provider.schema.schema import TAGS, Function, Kind, Property

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.wire import Properties


_FILTERS: Final = Property(
    Kind.OBJECTS, fields={"name": Property(required=True), "values": Property(Kind.STRINGS, required=True)}
)

GET_AMI: Final = Function(
    "aws:ec2/getAmi:getAmi",
    inputs={
        "owners": Property(Kind.STRINGS),
        "filters": _FILTERS,
        "mostRecent": Property(Kind.BOOLEAN),
        "nameRegex": Property(),
        "includeDeprecated": Property(Kind.BOOLEAN),
        "executableUsers": Property(Kind.STRINGS),
    },
)

GET_VPC: Final = Function(
    "aws:ec2/getVpc:getVpc",
    inputs={
        "cidrBlock": Property(),
        "default": Property(Kind.BOOLEAN),
        "dhcpOptionsId": Property(),
        "filters": _FILTERS,
        "id": Property(),
        "state": Property(),
        "tags": TAGS,
    },
)


def get_ami(cloud: Cloud, inputs: Mapping[str, Any]) -> Properties:
    """Return the one image that matches.

    Raises InvalidArgumentsError when none does, or several do and `mostRecent` is not set.
    """
    wanted = _pattern(inputs.get("nameRegex", ""))
    answer = cloud.call(
        "DescribeImages",
        Owners=inputs.get("owners"),
        ExecutableUsers=inputs.get("executableUsers"),
        Filters=_filters(inputs),
        IncludeDeprecated=inputs.get("includeDeprecated"),
    )
    images = [image for image in answer["Images"] if wanted.search(image.get("Name", ""))]
    if not images:
        raise InvalidArgumentsError(GET_AMI.token, [("filters", "no image fits")])
    if len(images) > 1 and not inputs.get("mostRecent"):
        raise InvalidArgumentsError(
            GET_AMI.token, [("mostRecent", f"{len(images)} images fit and it is not set")]
        )
    newest = max(images, key=lambda image: (image.get("CreationDate", ""), image["ImageId"]))
    return {**inputs, **_image(cloud, newest)}


def get_vpc(cloud: Cloud, inputs: Mapping[str, Any]) -> Properties:
    """Return the one network that matches. Raises InvalidArgumentsError when none or several do."""
    filters = [
        {"Name": name, "Values": [str(inputs[key]).lower() if key == "default" else str(inputs[key])]}
        for key, name in (
            ("cidrBlock", "cidr"),
            ("default", "isDefault"),
            ("dhcpOptionsId", "dhcp-options-id"),
            ("state", "state"),
        )
        if key in inputs and inputs[key] is not False
    ]
    filters += [{"Name": f"tag:{key}", "Values": [text]} for key, text in (inputs.get("tags") or {}).items()]
    answer = cloud.find(
        "DescribeVpcs",
        ("InvalidVpcID.NotFound",),
        VpcIds=[inputs["id"]] if "id" in inputs else None,
        Filters=[*filters, *(_filters(inputs) or [])] or None,
    )
    networks = answer["Vpcs"] if answer else []
    if len(networks) != 1:
        raise InvalidArgumentsError(
            GET_VPC.token, [("filters", f"{len(networks) or 'no'} networks fit, not one")]
        )
    return {**inputs, **_network(cloud, networks[0])}


def _filters(inputs: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    given = inputs.get("filters")
    return [{"Name": each["name"], "Values": each["values"]} for each in given] if given else None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidArgumentsError(GET_AMI.token, [("nameRegex", f"is not a pattern: {error}")]) from error


def _image(cloud: Cloud, image: Mapping[str, Any]) -> Properties:
    root = image.get("RootDeviceName", "")
    disks = [_block_device(disk) for disk in image.get("BlockDeviceMappings", [])]
    snapshots = [disk["ebs"].get("snapshot_id", "") for disk in disks if disk["deviceName"] == root]
    names = {
        "architecture": "Architecture",
        "bootMode": "BootMode",
        "creationDate": "CreationDate",
        "deprecationTime": "DeprecationTime",
        "description": "Description",
        "hypervisor": "Hypervisor",
        "imageLocation": "ImageLocation",
        "imageOwnerAlias": "ImageOwnerAlias",
        "imageType": "ImageType",
        "imdsSupport": "ImdsSupport",
        "kernelId": "KernelId",
        "name": "Name",
        "ownerId": "OwnerId",
        "platform": "Platform",
        "platformDetails": "PlatformDetails",
        "ramdiskId": "RamdiskId",
        "rootDeviceName": "RootDeviceName",
        "rootDeviceType": "RootDeviceType",
        "sriovNetSupport": "SriovNetSupport",
        "state": "State",
        "tpmSupport": "TpmSupport",
        "usageOperation": "UsageOperation",
        "virtualizationType": "VirtualizationType",
    }
    return {
        **{name: image.get(key) or "" for name, key in names.items()},
        "arn": f"arn:aws:ec2:{cloud.config.region}::image/{image['ImageId']}",
        "id": image["ImageId"],
        "imageId": image["ImageId"],
        "region": cloud.config.region,
        "public": bool(image.get("Public")),
        "enaSupport": bool(image.get("EnaSupport")),
        "blockDeviceMappings": disks,
        "productCodes": [],
        "rootSnapshotId": snapshots[0] if snapshots else "",
        "stateReason": {},
        "tags": tags.mapped(image.get("Tags")),
    }


def _block_device(disk: Mapping[str, Any]) -> dict[str, Any]:
    ebs = disk.get("Ebs", {})
    names = {
        "delete_on_termination": "DeleteOnTermination",
        "encrypted": "Encrypted",
        "iops": "Iops",
        "snapshot_id": "SnapshotId",
        "throughput": "Throughput",
        "volume_size": "VolumeSize",
        "volume_type": "VolumeType",
    }
    return {
        "deviceName": disk.get("DeviceName", ""),
        "ebs": {name: _word(ebs[key]) for name, key in names.items() if ebs.get(key) is not None},
        "noDevice": disk.get("NoDevice", ""),
        "virtualName": disk.get("VirtualName", ""),
    }


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _network(cloud: Cloud, network: Mapping[str, Any]) -> Properties:
    id_, owner, region = network["VpcId"], network.get("OwnerId", ""), cloud.config.region
    tables = cloud.call(
        "DescribeRouteTables",
        Filters=[{"Name": "vpc-id", "Values": [id_]}, {"Name": "association.main", "Values": ["true"]}],
    )["RouteTables"]
    blocks = network.get("CidrBlockAssociationSet", [])
    return {
        "arn": f"arn:aws:ec2:{region}:{owner}:vpc/{id_}",
        "id": id_,
        "region": region,
        "ownerId": owner,
        "cidrBlock": network["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": block["AssociationId"],
                "cidrBlock": block["CidrBlock"],
                "state": block.get("CidrBlockState", {}).get("State", ""),
            }
            for block in blocks
        ],
        "default": bool(network.get("IsDefault")),
        "dhcpOptionsId": network.get("DhcpOptionsId", ""),
        "enableDnsHostnames": _attribute(cloud, id_, "enableDnsHostnames"),
        "enableDnsSupport": _attribute(cloud, id_, "enableDnsSupport"),
        "enableNetworkAddressUsageMetrics": False,
        "instanceTenancy": network.get("InstanceTenancy", ""),
        "ipv6AssociationId": "",
        "ipv6CidrBlock": "",
        "ipv6CidrBlockAssociations": [],
        "mainRouteTableId": tables[0]["RouteTableId"] if tables else "",
        "state": network.get("State", ""),
        "tags": tags.mapped(network.get("Tags")),
    }


def _attribute(cloud: Cloud, id_: str, name: str) -> bool:
    answer = cloud.call("DescribeVpcAttribute", VpcId=id_, Attribute=name)
    return bool(answer[name[0].upper() + name[1:]]["Value"])

"""An instance in EC2's descriptions and requests, and in the provider's properties."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.ec2 import tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.wire import Properties

_NO_INSTANCE: Final = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")
_GONE: Final = frozenset({"terminated", "shutting-down"})
_METADATA: Final = {
    "HttpTokens": "httpTokens",
    "HttpEndpoint": "httpEndpoint",
    "HttpPutResponseHopLimit": "httpPutResponseHopLimit",
    "InstanceMetadataTags": "instanceMetadataTags",
}


def find(cloud: Cloud, id_: str) -> dict[str, Any] | None:
    """Return EC2's description of the instance, or None when it does not exist or is terminating."""
    found = _describe(cloud, id_)
    return found if found and found["State"]["Name"] not in _GONE else None


def state_of(cloud: Cloud, id_: str) -> str:
    """Return EC2's state name, or `gone` when EC2 does not know the instance."""
    found = _describe(cloud, id_)
    return str(found["State"]["Name"]) if found else "gone"


def find_root_device(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the block device that the instance boots from, or None where it has none."""
    devices: list[dict[str, Any]] = list((found or {}).get("BlockDeviceMappings", []))
    named = [device for device in devices if found and device["DeviceName"] == found.get("RootDeviceName")]
    return next(iter(named or devices), None)


def metadata_request(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return `metadataOptions` in EC2's form; None for none."""
    if not options:
        return None
    return {key: options[name] for key, name in _METADATA.items() if name in options}


def user_data_bytes(inputs: Mapping[str, Any]) -> bytes | None:
    """Return the user data of either property, decoded; None for none.

    Invalid base64 is returned as it is: EC2 refuses it.
    """
    encoded = inputs.get("userDataBase64")
    if encoded is not None:
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return str(encoded).encode()
    text = inputs.get("userData")
    return str(text).encode() if text is not None else None


def view(cloud: Cloud, found: Mapping[str, Any], known: Mapping[str, Any]) -> Properties:
    """Return all properties of the instance, inputs and outputs together."""
    id_, region = found["InstanceId"], cloud.config.region
    networks = found.get("NetworkInterfaces") or [{}]
    volume = _root_volume(cloud, found)
    return {
        "arn": f"arn:aws:ec2:{region}:{networks[0].get('OwnerId', '')}:instance/{id_}",
        "ami": found["ImageId"],
        "instanceType": found["InstanceType"],
        "instanceState": found["State"]["Name"],
        "availabilityZone": found["Placement"]["AvailabilityZone"],
        "keyName": found.get("KeyName"),
        "subnetId": found.get("SubnetId"),
        "vpcSecurityGroupIds": _groups(found, known),
        "publicIp": found.get("PublicIpAddress") or "",
        "publicDns": found.get("PublicDnsName") or "",
        "privateIp": found.get("PrivateIpAddress") or "",
        "privateDns": found.get("PrivateDnsName") or "",
        "primaryNetworkInterfaceId": networks[0].get("NetworkInterfaceId"),
        "monitoring": found.get("Monitoring", {}).get("State") in ("enabled", "pending"),
        "metadataOptions": _metadata(found),
        "rootBlockDevice": _root_block_device(found, volume, known),
        "volumeTags": _volume_tags(cloud, volume, known),
        **_user_data(cloud, id_, known),
        **tags.live(cloud, found.get("Tags"), known),
    }


def _describe(cloud: Cloud, id_: str) -> dict[str, Any] | None:
    answer = cloud.find("DescribeInstances", _NO_INSTANCE, InstanceIds=[id_])
    reservations = answer["Reservations"] if answer else []
    instances = [instance for each in reservations for instance in each["Instances"]]
    return instances[0] if instances else None


def _groups(found: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    live = [group["GroupId"] for group in found.get("SecurityGroups", [])]
    given = known.get("vpcSecurityGroupIds")
    return given if isinstance(given, list) and sorted(given) == sorted(live) else live


def _metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    options = found.get("MetadataOptions") or {}
    return {name: options[key] for key, name in _METADATA.items() if options.get(key) is not None}


def _root_volume(cloud: Cloud, found: Mapping[str, Any]) -> dict[str, Any] | None:
    device = find_root_device(found)
    if device is None:
        return None
    missing = ("InvalidVolume.NotFound",)
    answer = cloud.find("DescribeVolumes", missing, VolumeIds=[device["Ebs"]["VolumeId"]])
    volumes = answer["Volumes"] if answer else []
    return {**volumes[0], "Device": device} if volumes else None


def _root_block_device(
    found: Mapping[str, Any], volume: Mapping[str, Any] | None, known: Mapping[str, Any]
) -> dict[str, Any] | None:
    if volume is None:
        return None
    given = known.get("rootBlockDevice") or {}
    disk = {
        "deviceName": found.get("RootDeviceName"),
        "volumeId": volume["VolumeId"],
        "volumeType": volume.get("VolumeType"),
        "volumeSize": volume.get("Size"),
        "encrypted": bool(volume.get("Encrypted")),
        "deleteOnTermination": bool(volume["Device"]["Ebs"].get("DeleteOnTermination")),
    }
    own = {
        key: text
        for key, text in tags.mapped(volume.get("Tags")).items()
        if key not in (known.get("volumeTags") or {})
    }
    if own or given.get("tags"):
        disk["tags"] = own
    return {name: value for name, value in disk.items() if value is not None}


def _volume_tags(
    cloud: Cloud, volume: Mapping[str, Any] | None, known: Mapping[str, Any]
) -> dict[str, str] | None:
    given = known.get("volumeTags")
    if volume is None or given is None:
        return None
    of_the_disk = (known.get("rootBlockDevice") or {}).get("tags") or {}
    others = {**cloud.config.default_tags, **of_the_disk}
    return {
        key: text
        for key, text in tags.mapped(volume.get("Tags")).items()
        if key in given or key not in others
    }


def _user_data(cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties:
    """Return the user data under the property that the program uses; base64 where it is no text."""
    answer = cloud.find("DescribeInstanceAttribute", _NO_INSTANCE, InstanceId=id_, Attribute="userData")
    encoded = (answer or {}).get("UserData", {}).get("Value")
    if not encoded:
        return {}
    live = base64.b64decode(encoded)
    if live == user_data_bytes(known):
        return {name: known[name] for name in ("userData", "userDataBase64") if name in known}
    if "userDataBase64" in known:
        return {"userDataBase64": encoded}
    try:
        return {"userData": live.decode()}
    except UnicodeDecodeError:
        return {"userDataBase64": encoded}

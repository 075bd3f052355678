"""Instances: run, update, stop and start where an update requires it, terminate."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.ec2 import tags
from infra.local.provider.errors import CloudRefusedError, NotReadyError, ProviderError
from infra.local.provider.schema.schema import TAGS, Kind, Property, ResourceType
from infra.local.provider.types.instance_view import (
    find,
    find_root_device,
    metadata_request,
    state_of,
    user_data_bytes,
    view,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.wire import Properties

_NO_INSTANCE: Final = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")
_NEVER_RUNS: Final = {
    "shutting-down": "the instance stopped itself while it was to start",
    "terminated": "the instance was terminated while it was to start",
    "gone": "the instance vanished while it was to start",
}


_PUBLIC: Final = ("publicIp", "publicDns")

INSTANCE: Final = ResourceType(
    "aws:ec2/instance:Instance",
    inputs={
        "ami": Property(required=True, replaces=True),
        "instanceType": Property(required=True),
        "keyName": Property(replaces=True, computed=True),
        "vpcSecurityGroupIds": Property(Kind.STRING_SET, computed=True),
        "subnetId": Property(replaces=True, computed=True),
        "userData": Property(conflicts=("userDataBase64",), replaces_if="userDataReplaceOnChange"),
        "userDataBase64": Property(replaces_if="userDataReplaceOnChange"),
        "userDataReplaceOnChange": Property(Kind.BOOLEAN, default=False),
        "metadataOptions": Property(
            Kind.OBJECT,
            computed=True,
            fields={
                "httpTokens": Property(choices=("optional", "required"), computed=True),
                "httpEndpoint": Property(choices=("enabled", "disabled"), computed=True),
                "httpPutResponseHopLimit": Property(Kind.INTEGER, choices=tuple(range(1, 65)), computed=True),
                "instanceMetadataTags": Property(choices=("enabled", "disabled"), computed=True),
            },
        ),
        "rootBlockDevice": Property(
            Kind.OBJECT,
            computed=True,
            fields={
                "volumeType": Property(
                    choices=("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"), computed=True
                ),
                "volumeSize": Property(Kind.INTEGER, computed=True),
                "encrypted": Property(Kind.BOOLEAN, replaces=True, computed=True),
                "deleteOnTermination": Property(Kind.BOOLEAN, default=True),
                "tags": TAGS,
            },
        ),
        "monitoring": Property(Kind.BOOLEAN, computed=True),
        "tags": TAGS,
        "volumeTags": TAGS,
    },
    outputs=(
        "arn",
        "availabilityZone",
        "instanceState",
        "primaryNetworkInterfaceId",
        "privateDns",
        "privateIp",
        *_PUBLIC,
        "tagsAll",
    ),
    recomputed=dict.fromkeys(("instanceType", "userData", "userDataBase64"), (*_PUBLIC, "instanceState")),
)


class Instance:
    """`aws:ec2/instance:Instance`."""

    kind: Final = INSTANCE

    def create(self, cloud: Cloud, inputs: Mapping[str, Any], seconds: float) -> str:
        answer = cloud.call("RunInstances", **_run_request(cloud, inputs))
        id_ = str(answer["Instances"][0]["InstanceId"])
        try:
            _wait_running(cloud, id_, seconds)
        except ProviderError as error:
            raise NotReadyError(id_, error) from error
        return id_

    def read(self, cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties | None:
        found = find(cloud, id_)
        return view(cloud, found, known) if found else None

    def update(
        self, cloud: Cloud, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any], seconds: float
    ) -> None:
        if _differs("vpcSecurityGroupIds", olds, news) and news.get("vpcSecurityGroupIds"):
            cloud.call("ModifyInstanceAttribute", InstanceId=id_, Groups=news["vpcSecurityGroupIds"])
        if _differs("metadataOptions", olds, news) and news.get("metadataOptions"):
            _change_metadata(cloud, id_, news["metadataOptions"])
        if _differs("monitoring", olds, news):
            operation = "MonitorInstances" if news.get("monitoring") else "UnmonitorInstances"
            cloud.call(operation, InstanceIds=[id_])
        _change_root_volume(cloud, id_, olds, news)
        _change_stopped(cloud, id_, olds, news, seconds)
        _tag_root_volume(cloud, id_, olds, news)
        tags.replace(cloud, id_, olds.get("tags"), news.get("tags"))

    def delete(self, cloud: Cloud, id_: str, seconds: float) -> None:
        cloud.delete("TerminateInstances", _NO_INSTANCE, seconds, InstanceIds=[id_])
        cloud.wait(f"instance {id_}", "gone", lambda: _gone_or_state(cloud, id_), seconds)


def _run_request(cloud: Cloud, inputs: Mapping[str, Any]) -> dict[str, Any]:
    specifications = tags.specifications(cloud, "instance", inputs.get("tags")) or []
    if _volume_tags(inputs):
        specifications.append({"ResourceType": "volume", "Tags": tags.listed(_volume_tags(inputs))})
    request: dict[str, Any] = {
        "ImageId": inputs["ami"],
        "InstanceType": inputs["instanceType"],
        "MinCount": 1,
        "MaxCount": 1,
        "KeyName": inputs.get("keyName"),
        "SecurityGroupIds": inputs.get("vpcSecurityGroupIds"),
        "SubnetId": inputs.get("subnetId"),
        "UserData": user_data_bytes(inputs),
        "MetadataOptions": metadata_request(inputs.get("metadataOptions")),
        "BlockDeviceMappings": _root_mapping(cloud, inputs),
        "Monitoring": {"Enabled": True} if inputs.get("monitoring") else None,
        "TagSpecifications": specifications or None,
    }
    return request


def _root_mapping(cloud: Cloud, inputs: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    disk = inputs.get("rootBlockDevice")
    if not disk:
        return None
    answer = cloud.call("DescribeImages", ImageIds=[inputs["ami"]])
    device = answer["Images"][0]["RootDeviceName"]
    names = {
        "VolumeType": "volumeType",
        "VolumeSize": "volumeSize",
        "Encrypted": "encrypted",
        "DeleteOnTermination": "deleteOnTermination",
    }
    return [{"DeviceName": device, "Ebs": {key: disk[name] for key, name in names.items() if name in disk}}]


def _wait_running(cloud: Cloud, id_: str, seconds: float) -> None:
    cloud.wait(f"instance {id_}", "running", lambda: state_of(cloud, id_), seconds, failed=_NEVER_RUNS)


def _gone_or_state(cloud: Cloud, id_: str) -> str:
    state = state_of(cloud, id_)
    return "gone" if state == "terminated" else state


def _differs(name: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    return bool(olds.get(name) != news.get(name))


def _change_metadata(cloud: Cloud, id_: str, wanted: Mapping[str, Any]) -> None:
    found = find(cloud, id_) or {}
    current = found.get("MetadataOptions", {})
    request = metadata_request(wanted) or {}
    for name in ("HttpTokens", "HttpEndpoint", "HttpPutResponseHopLimit", "InstanceMetadataTags"):
        if name not in request and name in current:
            request[name] = current[name]
    cloud.call("ModifyInstanceMetadataOptions", InstanceId=id_, **request)


def _change_stopped(
    cloud: Cloud, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any], seconds: float
) -> None:
    """Change what EC2 only changes on a stopped instance: its type and its user data."""
    new_type = _differs("instanceType", olds, news)
    new_data = user_data_bytes(olds) != user_data_bytes(news)
    if new_type or new_data:
        cloud.call("StopInstances", InstanceIds=[id_])
        cloud.wait(f"instance {id_}", "stopped", lambda: state_of(cloud, id_), seconds, failed=_NEVER_RUNS)
        if new_type:
            cloud.call(
                "ModifyInstanceAttribute", InstanceId=id_, InstanceType={"Value": news["instanceType"]}
            )
        if new_data:
            _set_user_data(cloud, id_, user_data_bytes(news) or b"")
        cloud.call("StartInstances", InstanceIds=[id_])
    if new_type or new_data or state_of(cloud, id_) == "pending":
        _wait_running(cloud, id_, seconds)


def _set_user_data(cloud: Cloud, id_: str, data: bytes) -> None:
    try:
        cloud.call("ModifyInstanceAttribute", InstanceId=id_, UserData={"Value": data})
    except CloudRefusedError as error:
        if error.code != "InvalidUserData.Malformed":
            raise
        # boto3 encodes the bytes as EC2 wants them; moto 5.2 decodes that and expects base64 a second time.
        cloud.call("ModifyInstanceAttribute", InstanceId=id_, UserData={"Value": base64.b64encode(data)})


def _change_root_volume(cloud: Cloud, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> None:
    old, new = olds.get("rootBlockDevice") or {}, news.get("rootBlockDevice") or {}
    names = {"VolumeType": "volumeType", "Size": "volumeSize"}
    changed = {key: new[name] for key, name in names.items() if name in new and new[name] != old.get(name)}
    keep = new.get("deleteOnTermination", True)
    keep_changed = "deleteOnTermination" in new and keep != old.get("deleteOnTermination", True)
    if not changed and not keep_changed:
        return
    device = find_root_device(find(cloud, id_))
    if device and changed:
        cloud.call("ModifyVolume", VolumeId=device["Ebs"]["VolumeId"], **changed)
    if device and keep_changed:
        mapping = {"DeviceName": device["DeviceName"], "Ebs": {"DeleteOnTermination": keep}}
        cloud.call("ModifyInstanceAttribute", InstanceId=id_, BlockDeviceMappings=[mapping])


def _tag_root_volume(cloud: Cloud, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> None:
    old, new = _volume_tags(olds), _volume_tags(news)
    if old == new:
        return
    device = find_root_device(find(cloud, id_))
    if device:
        tags.change([device["Ebs"]["VolumeId"]], cloud, old, new)


def _volume_tags(inputs: Mapping[str, Any]) -> dict[str, str]:
    disk = inputs.get("rootBlockDevice") or {}
    return {**(inputs.get("volumeTags") or {}), **(disk.get("tags") or {})}

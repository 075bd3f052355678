"""The instance through the servicer, against EC2 in this process."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import provider_pb2

from infra.local.provider import wire
from tests.infra.local.provider.driver import Aborted, Context, Engine, Resource, urn_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.process

DISK = {
    "volumeType": "gp3",
    "volumeSize": 20,
    "encrypted": True,
    "deleteOnTermination": True,
    "tags": {"disk": "root"},
}
OPTIONS = {
    "httpTokens": "required",
    "httpEndpoint": "enabled",
    "httpPutResponseHopLimit": 2,
    "instanceMetadataTags": "enabled",
}
NO_CHANGE = 1


@pytest.fixture
def program(engine: Engine, image: str) -> dict[str, Any]:
    """What a program gives to an instance, with every property."""
    group = engine.create("SecurityGroup", {})
    return {
        "ami": image,
        "instanceType": "t3.small",
        "vpcSecurityGroupIds": [group.id],
        "userData": "#cloud-config\n",
        "metadataOptions": dict(OPTIONS),
        "rootBlockDevice": dict(DISK),
        "tags": {"Name": "one"},
    }


def live(ec2: Any, resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[resource.id])["Reservations"][0]["Instances"][
        0
    ]
    return found


def user_data(ec2: Any, resource: Resource) -> bytes:
    answer = ec2.describe_instance_attribute(InstanceId=resource.id, Attribute="userData")
    return base64.b64decode(answer["UserData"]["Value"])


def volume(ec2: Any, resource: Resource) -> dict[str, Any]:
    id_ = live(ec2, resource)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    found: dict[str, Any] = ec2.describe_volumes(VolumeIds=[id_])["Volumes"][0]
    return found


def test_an_instance_is_running_and_as_the_program_wants_it(
    engine: Engine, ec2: Any, program: dict[str, Any]
) -> None:
    made = engine.create("Instance", program)
    found = live(ec2, made)
    assert found["State"]["Name"] == made.outputs["instanceState"] == "running"
    assert made.outputs["publicIp"] == found["PublicIpAddress"]
    assert made.outputs["privateIp"] == found["PrivateIpAddress"]
    assert made.outputs["arn"].endswith(f":instance/{made.id}")
    assert made.outputs["metadataOptions"] == OPTIONS
    assert made.outputs["tagsAll"] == {"Name": "one", "project": "onebox"}
    assert [group["GroupId"] for group in found["SecurityGroups"]] == program["vpcSecurityGroupIds"]
    assert user_data(ec2, made) == b"#cloud-config\n"
    disk = volume(ec2, made)
    assert (disk["VolumeType"], disk["Size"], disk["Encrypted"]) == ("gp3", 20, True)
    assert {"Key": "disk", "Value": "root"} in disk["Tags"]


def test_a_refresh_of_an_untouched_instance_changes_nothing(engine: Engine, program: dict[str, Any]) -> None:
    made = engine.create("Instance", program)
    found = engine.refresh(made)
    assert found is not None
    assert found.inputs == made.inputs
    assert found.outputs == made.outputs
    assert engine.diff(found, program).changes == NO_CHANGE


def test_the_smallest_instance_is_left_to_the_cloud(engine: Engine, image: str) -> None:
    program = {"ami": image, "instanceType": "t3.small"}
    made = engine.create("Instance", program)
    assert made.outputs["subnetId"].startswith("subnet-")
    assert made.outputs["rootBlockDevice"]["volumeId"].startswith("vol-")
    found = engine.refresh(made)
    assert found is not None
    assert set(found.inputs) == set(made.inputs)
    assert engine.diff(found, program).changes == NO_CHANGE


@pytest.mark.parametrize(
    ("changed", "path", "look"),
    [
        (
            {"tags": {"Name": "two"}},
            "tags.Name",
            lambda found: {"Key": "Name", "Value": "two"} in found["Tags"],
        ),
        ({"instanceType": "t3.large"}, "instanceType", lambda found: found["InstanceType"] == "t3.large"),
        (
            {"metadataOptions": {**OPTIONS, "httpPutResponseHopLimit": 1}},
            "metadataOptions.httpPutResponseHopLimit",
            lambda found: (
                found["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
                and found["MetadataOptions"]["HttpTokens"] == "required"
            ),
        ),
    ],
)
def test_a_change_in_place_keeps_the_instance_running(
    engine: Engine,
    ec2: Any,
    program: dict[str, Any],
    changed: dict[str, Any],
    path: str,
    look: Callable[[dict[str, Any]], bool],
) -> None:
    made = engine.create("Instance", program)
    difference = engine.diff(made, {**program, **changed})
    assert list(difference.detailedDiff) == [path]
    assert not difference.replaces
    engine.update(made, {**program, **changed})
    found = live(ec2, made)
    assert look(found)
    assert found["State"]["Name"] == "running"


def test_security_groups_change_in_place(engine: Engine, ec2: Any, program: dict[str, Any]) -> None:
    made = engine.create("Instance", program)
    other = engine.create("SecurityGroup", {})
    updated = engine.update(made, {**program, "vpcSecurityGroupIds": [other.id]})
    assert [group["GroupId"] for group in live(ec2, made)["SecurityGroups"]] == [other.id]
    assert updated.outputs["vpcSecurityGroupIds"] == [other.id]


def test_user_data_changes_while_the_instance_is_stopped(
    engine: Engine, ec2: Any, program: dict[str, Any]
) -> None:
    made = engine.create("Instance", program)
    updated = engine.update(made, {**program, "userData": "#cloud-config\n# new\n"})
    assert user_data(ec2, made) == b"#cloud-config\n# new\n"
    assert updated.outputs["userData"] == "#cloud-config\n# new\n"
    assert live(ec2, made)["State"]["Name"] == "running"


def test_user_data_may_come_encoded(engine: Engine, ec2: Any, image: str) -> None:
    encoded = base64.b64encode(b"\x1f\x8b\xff").decode()
    program = {"ami": image, "instanceType": "t3.small", "userDataBase64": encoded}
    made = engine.create("Instance", program)
    assert user_data(ec2, made) == b"\x1f\x8b\xff"
    found = engine.refresh(made)
    assert found is not None
    assert found.inputs["userDataBase64"] == encoded
    assert "userData" not in found.inputs


def test_the_root_disk_and_its_tags_change_in_place(
    engine: Engine, ec2: Any, program: dict[str, Any]
) -> None:
    made = engine.create("Instance", program)
    disk = {**DISK, "volumeSize": 40, "tags": {"disk": "big"}}
    engine.update(made, {**program, "rootBlockDevice": disk})
    found = volume(ec2, made)
    assert found["Size"] == 40
    assert {"Key": "disk", "Value": "big"} in found["Tags"]


def test_changes_by_hand_are_drift(engine: Engine, ec2: Any, program: dict[str, Any]) -> None:
    made = engine.create("Instance", program)
    ec2.create_tags(Resources=[made.id], Tags=[{"Key": "by-hand", "Value": "x"}])
    ec2.stop_instances(InstanceIds=[made.id])
    ec2.modify_instance_attribute(InstanceId=made.id, InstanceType={"Value": "t3.large"})
    found = engine.refresh(made)
    assert found is not None
    assert found.inputs["instanceType"] == "t3.large"
    assert found.outputs["instanceState"] == "stopped"
    assert set(engine.diff(found, program).detailedDiff) == {"instanceType", 'tags["by-hand"]'}


def test_an_instance_terminated_by_hand_is_gone(engine: Engine, ec2: Any, program: dict[str, Any]) -> None:
    made = engine.create("Instance", program)
    ec2.terminate_instances(InstanceIds=[made.id])
    assert engine.refresh(made) is None
    engine.delete(made)


def test_delete_waits_until_it_is_terminated(engine: Engine, ec2: Any, program: dict[str, Any]) -> None:
    made = engine.create("Instance", program)
    engine.delete(made)
    assert live(ec2, made)["State"]["Name"] == "terminated"


def test_an_instance_that_never_was_is_deleted_at_once(engine: Engine, ec2: Any) -> None:
    before = ec2.describe_instances()["Reservations"]
    engine.delete(Resource(urn_of("Instance"), "i-0123456789abcdef0", {}, {}))
    assert ec2.describe_instances()["Reservations"] == before


def test_it_is_imported_by_its_id(engine: Engine, program: dict[str, Any]) -> None:
    made = engine.create("Instance", program)
    found = engine.refresh(Resource(made.urn, made.id, {}, {}))
    assert found is not None
    assert {name: found.inputs[name] for name in ("ami", "instanceType", "userData", "tags")} == {
        name: program[name] for name in ("ami", "instanceType", "userData", "tags")
    }
    assert engine.diff(found, program).changes == NO_CHANGE


def test_a_preview_makes_nothing_and_leaves_open_what_only_the_cloud_knows(
    engine: Engine, ec2: Any, program: dict[str, Any]
) -> None:
    before = len(ec2.describe_instances()["Reservations"])
    outputs = engine.preview("Instance", {**program, "keyName": wire.UNKNOWN})
    assert len(ec2.describe_instances()["Reservations"]) == before
    assert outputs["instanceType"] == "t3.small"
    assert outputs["tagsAll"] == {"Name": "one", "project": "onebox"}
    for name in ("publicIp", "privateIp", "arn", "instanceState", "keyName", "subnetId"):
        assert outputs[name] is wire.UNKNOWN, name


def test_a_previewed_stop_and_start_leaves_the_public_address_open(
    engine: Engine, program: dict[str, Any]
) -> None:
    made = engine.create("Instance", program)
    outputs = engine.update(made, {**program, "instanceType": "t3.large"}, preview=True).outputs
    assert outputs["publicIp"] is wire.UNKNOWN
    assert outputs["privateIp"] == made.outputs["privateIp"]


def test_user_data_that_came_as_a_secret_goes_back_as_one(engine: Engine, program: dict[str, Any]) -> None:
    sealed = {wire.SIGNATURE_KEY: wire.SEALED, "value": program["userData"]}
    checked = engine.check("Instance", program, secrets={"userData"})
    assert json_format.MessageToDict(checked.inputs)["userData"] == sealed
    made = engine.create("Instance", program, secrets={"userData"})
    assert json_format.MessageToDict(made.raw_outputs)["userData"] == sealed


def test_user_data_that_was_changed_to_binary_stays_a_secret(
    engine: Engine, ec2: Any, program: dict[str, Any]
) -> None:
    made = engine.create("Instance", program)
    ec2.stop_instances(InstanceIds=[made.id])
    encoded = base64.b64encode(b"\x1f\x8b\xff")
    ec2.modify_instance_attribute(InstanceId=made.id, UserData={"Value": encoded})
    request = provider_pb2.ReadRequest(
        id=made.id, urn=made.urn, inputs=wire.encode(made.inputs, secrets={"userData"})
    )
    answer = engine.provider.Read(request, Context())
    sealed = {wire.SIGNATURE_KEY: wire.SEALED, "value": encoded.decode()}
    assert json_format.MessageToDict(answer.inputs)["userDataBase64"] == sealed
    assert json_format.MessageToDict(answer.properties)["userDataBase64"] == sealed
    assert "userData" not in answer.inputs.fields


def test_an_unknown_type_is_named_with_the_nearest(engine: Engine) -> None:
    with pytest.raises(
        Aborted, match=r"has no resource type aws:ec2/instances:Instance; the nearest .*ec2/instance:"
    ):
        engine.check("aws:ec2/instances:Instance", {})

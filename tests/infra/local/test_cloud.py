"""The EC2 API in this process, with a machine that only remembers what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    pass
from tests.infra.local.running import Running, tcp

pytestmark = pytest.mark.process


def test_the_image_is_found_as_on_aws(cloud: Running) -> None:
    query = [
        {"Name": "name", "Values": ["debian-13-amd64-*"]},
        {"Name": "virtualization-type", "Values": ["hvm"]},
    ]
    images = cloud.ec2.describe_images(Owners=["136693071363"], Filters=query)["Images"]
    assert [(one["Architecture"], one["RootDeviceName"], one["RootDeviceType"]) for one in images] == [
        ("x86_64", "/dev/xvda", "ebs")
    ]


def test_an_instance_boots_with_its_key_and_user_data_and_reports_its_address(cloud: Running) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk0wCsNQ2sHjGWnCNbQmUCgYeUgAhx2bTcjUa7IBxYE me"
    cloud.ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=key.encode())
    created = cloud.run(KeyName="mine", UserData="#cloud-config\n")
    boot = cloud.machine.boots[created]
    assert (boot.user_data, boot.public_keys) == (b"#cloud-config\n", (("mine", key),))
    described = cloud.describe(created)
    assert described["PrivateIpAddress"] == boot.address == "10.9.8.4"
    assert described["PublicIpAddress"] == boot.address


def test_an_unknown_image_or_key_is_refused_and_nothing_boots(cloud: Running) -> None:
    with pytest.raises(ClientError, match=r"InvalidAMIID\.NotFound"):
        cloud.run(ImageId="ami-00000000000000000")
    with pytest.raises(ClientError, match=r"InvalidKeyPair\.NotFound"):
        cloud.run(KeyName="nobody")
    assert cloud.machine.done == []


def test_another_region_or_service_is_refused_by_name(cloud: Running) -> None:
    with pytest.raises(ClientError, match=r"one region, eu-central-1, not us-east-1"):
        cloud.client("ec2", "us-east-1").describe_instances()
    with pytest.raises(ClientError, match="not iam"):
        cloud.client("iam").list_users()


def test_an_instance_that_cannot_boot_ends_and_the_caller_hears_why(cloud: Running) -> None:
    cloud.machine.broken = True
    with pytest.raises(ClientError, match="no space left on device"):
        cloud.run()
    states = [
        one["State"]["Name"] for r in cloud.ec2.describe_instances()["Reservations"] for one in r["Instances"]
    ]
    assert states == ["terminated"]


def test_a_rule_is_in_force_within_the_call_that_makes_it(cloud: Running) -> None:
    group = cloud.group("web")
    created = cloud.run(SecurityGroupIds=[group])
    assert "--dport 5000" not in cloud.machine.networks[created].filter_v4
    rule = tcp(5000, IpRanges=[{"CidrIp": "192.0.2.0/24"}])
    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert "-s 192.0.2.0/24 -p tcp --dport 5000" in cloud.machine.networks[created].filter_v4
    cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert "--dport 5000" not in cloud.machine.networks[created].filter_v4


def test_a_group_as_source_admits_its_members_as_they_come_and_go(cloud: Running) -> None:
    clients = cloud.group("clients")
    servers = cloud.group("servers", tcp(80, UserIdGroupPairs=[{"GroupId": clients}]))
    server = cloud.run(SecurityGroupIds=[servers])
    client = cloud.run(SecurityGroupIds=[clients])
    address = cloud.describe(client)["PrivateIpAddress"]
    assert f"-s {address}/32 -p tcp --dport 80" in cloud.machine.networks[server].filter_v4
    cloud.ec2.terminate_instances(InstanceIds=[client])
    assert address not in cloud.machine.networks[server].filter_v4


def test_other_groups_take_the_place_of_the_old_ones(cloud: Running) -> None:
    old, new = (cloud.group(str(port), tcp(port, IpRanges=[{"CidrIp": "0.0.0.0/0"}])) for port in (81, 82))
    created = cloud.run(SecurityGroupIds=[old])
    cloud.ec2.modify_instance_attribute(InstanceId=created, Groups=[new])
    filter_now = cloud.machine.networks[created].filter_v4
    assert "--dport 82" in filter_now
    assert "--dport 81" not in filter_now


def test_an_elastic_address_moves_between_instances(cloud: Running) -> None:
    one, other = cloud.run(), cloud.run()
    held = cloud.ec2.allocate_address(Domain="vpc")
    assert held["PublicIp"] == "10.9.8.128"
    for holder in (one, other):
        cloud.ec2.associate_address(
            InstanceId=holder, AllocationId=held["AllocationId"], AllowReassociation=True
        )
    assert cloud.machine.networks[one].addresses == ()
    assert cloud.machine.networks[other].addresses == ("10.9.8.128",)
    assert cloud.describe(one)["PublicIpAddress"] == cloud.describe(one)["PrivateIpAddress"]
    assert cloud.describe(other)["PublicIpAddress"] == "10.9.8.128"


def test_a_terminated_instance_gives_back_its_addresses(cloud: Running) -> None:
    created = cloud.run()
    held = cloud.ec2.allocate_address(Domain="vpc")
    cloud.ec2.associate_address(InstanceId=created, AllocationId=held["AllocationId"])
    cloud.ec2.terminate_instances(InstanceIds=[created])
    assert "PublicIpAddress" not in cloud.describe(created)
    assert "AssociationId" not in cloud.ec2.describe_addresses()["Addresses"][0]
    assert cloud.describe(cloud.run())["PrivateIpAddress"] == "10.9.8.4"

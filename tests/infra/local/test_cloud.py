"""The EC2 API in this process, with a machine that only remembers what it was told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.serving import make_server

from infra.local import state as memory
from infra.local.backend import ACCOUNT, CloudBackend
from infra.local.cloud import Cloud
from infra.local.errors import DockerFailedError, StateUnreadableError
from infra.local.instances import Boot, Container, Network
from infra.local.settings import REGION, CloudSettings, cloud_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

HALTED = 130


class FakeMachine:
    """Containers as a table, and what was done to them."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.boots: dict[str, Boot] = {}
        self.networks: dict[str, Network] = {}
        self.done: list[str] = []
        self.broken = False
        self._clock = 0

    def _up(self, boot: Boot, network: Network) -> None:
        self._clock += 1
        self.containers[boot.instance_id] = Container(boot.instance_id, True, 0, str(self._clock))
        self.boots[boot.instance_id] = boot
        self.networks[boot.instance_id] = network

    def _down(self, instance_id: str, code: int) -> None:
        self.containers[instance_id] = Container(instance_id, False, code, str(self._clock))

    def survey(self) -> dict[str, Container]:
        return dict(self.containers)

    def create(self, boot: Boot, network: Network) -> None:
        if self.broken:
            raise DockerFailedError(["run", "--detach"], 125, "no space left on device")
        self.done.append("create")
        self._up(boot, network)

    def start(self, boot: Boot, network: Network) -> None:
        self.done.append("start")
        self._up(boot, network)

    def stop(self, instance_id: str) -> None:
        self.done.append("stop")
        self._down(instance_id, HALTED)

    def restart(self, instance_id: str) -> None:
        self.done.append("restart")
        self._up(self.boots[instance_id], self.networks[instance_id])

    def remove(self, instance_id: str) -> None:
        self.done.append("remove")
        self.containers.pop(instance_id, None)

    def refresh(self, instance_id: str, network: Network) -> None:
        self.done.append("refresh")
        self.networks[instance_id] = network

    def console(self, instance_id: str) -> str:
        return f"console of {instance_id}"

    def power_off(self, instance_id: str) -> None:
        """The guest shuts itself down."""
        self._down(instance_id, HALTED)


class Running:
    """A cloud that answers, its client and its machine."""

    def __init__(self, settings: CloudSettings, machine: FakeMachine, cloud: Cloud, port: int) -> None:
        self.settings = settings
        self.machine = machine
        self.cloud = cloud
        self.port = port
        self.ec2 = self.client("ec2")
        self.image = self.ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
        self.vpc = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0][
            "VpcId"
        ]

    def client(self, service: str, region: str = REGION) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=region,
            aws_access_key_id="k",
            aws_secret_access_key="s",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def run(self, **extra: Any) -> str:
        answer = self.ec2.run_instances(**{"ImageId": self.image, "MinCount": 1, "MaxCount": 1, **extra})
        return str(answer["Instances"][0]["InstanceId"])

    def describe(self, instance_id: str) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[instance_id])
        found = answer["Reservations"][0]["Instances"][0]
        assert isinstance(found, dict)
        return found

    def state(self, instance_id: str) -> str:
        return str(self.describe(instance_id)["State"]["Name"])

    def group(self, name: str, *permissions: dict[str, Any]) -> str:
        created = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        if permissions:
            self.ec2.authorize_security_group_ingress(GroupId=created, IpPermissions=list(permissions))
        return str(created)


def tcp(port: int, **source: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Running]:
    from moto.ec2.models import ec2_backends

    before = ec2_backends[ACCOUNT].pop(REGION, None)
    settings = cloud_settings("t", 4999, "10.9.8.0/24", tmp_path, tmp_path)
    machine = FakeMachine()
    served = Cloud(settings, memory.CloudState(CloudBackend(settings.subnet)), machine, lambda _: None)
    server = make_server("127.0.0.1", 0, served, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    running = Running(settings, machine, served, server.server_port)
    yield running
    running.ec2.close()
    server.shutdown()
    thread.join()
    server.server_close()
    ec2_backends[ACCOUNT].pop(REGION, None)
    if before is not None:
        ec2_backends[ACCOUNT][REGION] = before


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


def test_new_user_data_is_there_at_the_next_start(cloud: Running) -> None:
    created = cloud.run(UserData="one")
    cloud.ec2.stop_instances(InstanceIds=[created])
    cloud.ec2.modify_instance_attribute(InstanceId=created, UserData={"Value": b"two \x1f\xc3\xa9"})
    cloud.ec2.start_instances(InstanceIds=[created])
    assert cloud.machine.boots[created].user_data == b"two \x1f\xc3\xa9"
    assert cloud.machine.done == ["create", "stop", "start"]


def test_a_reboot_restarts_once(cloud: Running) -> None:
    created = cloud.run()
    cloud.ec2.reboot_instances(InstanceIds=[created])
    cloud.describe(created)
    assert cloud.machine.done.count("restart") == 1


def test_the_end_of_a_container_is_seen(cloud: Running) -> None:
    halted, ending, lost = cloud.run(), cloud.run(InstanceInitiatedShutdownBehavior="terminate"), cloud.run()
    cloud.machine.power_off(halted)
    cloud.machine.power_off(ending)
    del cloud.machine.containers[lost]
    assert [cloud.state(one) for one in (halted, ending, lost)] == ["stopped", "terminated", "terminated"]


def test_the_console_is_that_of_the_instance(cloud: Running) -> None:
    created = cloud.run()
    assert cloud.ec2.get_console_output(InstanceId=created)["Output"] == f"console of {created}"
    with pytest.raises(ClientError, match=r"InvalidInstanceID"):
        cloud.ec2.get_console_output(InstanceId="i-00000000000000000")


def test_asking_again_does_nothing_to_containers(cloud: Running) -> None:
    created = cloud.run()
    cloud.describe(created)
    done = list(cloud.machine.done)
    cloud.describe(created)
    assert cloud.machine.done == done


def test_a_new_daemon_knows_everything_and_touches_nothing(cloud: Running) -> None:
    group = cloud.group("web", tcp(22, IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "office"}]))
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]}]
    created = cloud.run(SecurityGroupIds=[group], UserData="data", TagSpecifications=tags)
    held = cloud.ec2.allocate_address(Domain="vpc")
    cloud.ec2.associate_address(InstanceId=created, AllocationId=held["AllocationId"])

    def everything() -> tuple[Any, ...]:
        return (
            cloud.describe(created),
            cloud.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"],
            cloud.ec2.describe_addresses()["Addresses"],
            cloud.ec2.describe_instance_attribute(InstanceId=created, Attribute="userData")["UserData"],
        )

    before, done = everything(), list(cloud.machine.done)
    loaded = memory.load(cloud.settings.state_file, "t")
    Cloud(cloud.settings, loaded, cloud.machine, lambda _: None).reconcile(power_back=True)
    assert everything() == before
    # The filter is put in force again: nobody knows what happened to it meanwhile.
    assert cloud.machine.done == [*done, "refresh"]


def test_a_new_daemon_hands_out_neither_taken_nor_reserved_addresses(cloud: Running) -> None:
    cloud.run()
    backend = memory.load(cloud.settings.state_file, "t").backend
    facts = {"is_instance_type_default": True, "region_name": REGION}
    reservation = backend.run_instances(cloud.image, 2, None, [], **facts)
    assert [instance.private_ip for instance in reservation.instances] == ["10.9.8.5", "10.9.8.6"]


def test_a_damaged_or_foreign_state_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "ec2.state"
    memory.save(memory.CloudState(CloudBackend(cloud_settings().subnet)), path)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole.replace(b'"format": 1', b'"format": 0')):
        path.write_bytes(content)
        with pytest.raises(StateUnreadableError) as refusal:
            memory.load(path, "t")
        assert "stop --all --name t" in refusal.value.hint

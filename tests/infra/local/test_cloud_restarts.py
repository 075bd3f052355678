"""Instances that stop, reboot and vanish, and a daemon that restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from infra.local.api.cloud import Cloud
from infra.local.ec2 import state as memory
from infra.local.ec2.backend import CloudBackend
from infra.local.errors import StateUnreadableError
from infra.local.settings import REGION, cloud_settings

if TYPE_CHECKING:
    from pathlib import Path
from tests.infra.local.running import Running, tcp

pytestmark = pytest.mark.process


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
    # The filter is applied again: its state after the restart is unknown.
    assert cloud.machine.done == [*done, "refresh"]


def test_a_new_daemon_hands_out_neither_taken_nor_reserved_addresses(cloud: Running) -> None:
    cloud.run()
    backend = memory.load(cloud.settings.state_file, "t").backend
    facts = {"is_instance_type_default": True, "region_name": REGION}
    reservation = backend.run_instances(cloud.image, 2, None, [], **facts)
    assert [instance.private_ip for instance in reservation.instances] == ["10.9.8.5", "10.9.8.6"]


def test_a_damaged_or_foreign_state_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "ec2.state"
    memory.save(memory.CloudState(CloudBackend(cloud_settings().subnet)), path)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole.replace(b'"format": 2', b'"format": 0')):
        path.write_bytes(content)
        with pytest.raises(StateUnreadableError) as refusal:
            memory.load(path, "t")
        assert "stop --all --name t" in refusal.value.hint

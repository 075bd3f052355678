"""The local cloud for real: containers that boot, packets that arrive or do not, a daemon that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.cloud_under_test import (
    GATEWAY,
    NAME,
    SERVICE_PORT,
    SUBNET,
    USER_DATA,
    CloudUnderTest,
    docker,
    opens,
    permission,
    run_instance,
)
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudUnderTest]:
    home = tmp_path_factory.mktemp("cloud")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "key")], check=True)
    under_test = CloudUnderTest(home / "state", home / "cache", home / "key")
    started = under_test.command("start")
    assert started.returncode == 0, started.stderr
    yield under_test
    stopped = under_test.command("stop", "--all")
    assert stopped.returncode == 0, stopped.stderr
    assert list(under_test.state_dir.iterdir()) == []
    assert docker("network", "ls", "--quiet", "--filter", f"name=onebox-{NAME}") == ""
    under_test.ec2.close()


@pytest.fixture(scope="module")
def group(cloud: CloudUnderTest) -> str:
    """A security group that lets only ssh from this machine in."""
    vpc = cloud.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    created = cloud.ec2.create_security_group(GroupName="web", Description="tests", VpcId=vpc)["GroupId"]
    cloud.ec2.authorize_security_group_ingress(GroupId=created, IpPermissions=[permission(22, GATEWAY)])
    return str(created)


@pytest.fixture(scope="module")
def instance(cloud: CloudUnderTest, group: str) -> str:
    """An instance whose cloud-init has finished, with a web server on port 5000."""
    cloud.ec2.import_key_pair(KeyName="key", PublicKeyMaterial=cloud.key.with_suffix(".pub").read_bytes())
    created = run_instance(cloud, group, UserData=USER_DATA)
    address = cloud.describe(created)["PublicIpAddress"]
    wait_until(lambda: opens(address, 22), 40)
    cloud.ssh(address, "timeout 60 cloud-init status --wait")
    return created


@pytest.fixture
def address(cloud: CloudUnderTest, instance: str) -> str:
    return str(cloud.describe(instance)["PrivateIpAddress"])


def test_an_instance_boots_with_its_user_data_and_key(cloud: CloudUnderTest, address: str) -> None:
    report = json.loads(cloud.ssh(address, "cloud-init status --format json"))
    assert (report["status"], report["errors"]) == ("done", [])
    assert cloud.ssh(address, "sudo cat /root/boots") == "boot"
    assert cloud.ssh(address, "hostname") == "ip-" + address.replace(".", "-")


def test_the_console_output_is_the_log_of_the_boot(cloud: CloudUnderTest, instance: str) -> None:
    assert "Cloud-init" in cloud.ec2.get_console_output(InstanceId=instance)["Output"]


def test_a_port_opens_and_closes_with_the_security_group(
    cloud: CloudUnderTest, group: str, address: str
) -> None:
    assert not opens(address, SERVICE_PORT)
    cloud.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[permission(SERVICE_PORT, GATEWAY)]
    )
    assert opens(address, SERVICE_PORT)
    cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission(SERVICE_PORT, GATEWAY)])
    assert not opens(address, SERVICE_PORT)


def test_a_rule_for_one_source_does_not_admit_another(
    cloud: CloudUnderTest, group: str, address: str
) -> None:
    tag = docker("inspect", "--format", "{{.Config.Image}}", f"onebox-{NAME}-{_only_instance(cloud)}")
    probe = f"timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/22' 2>/dev/null && echo open || echo closed"
    from_elsewhere = ["run", "--rm", "--network", f"onebox-{NAME}", "--entrypoint", "sh", tag, "-c", probe]
    assert docker(*from_elsewhere) == "closed"
    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission(22, SUBNET)])
    assert docker(*from_elsewhere) == "open"
    cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission(22, SUBNET)])
    assert docker(*from_elsewhere) == "closed"


def _only_instance(cloud: CloudUnderTest) -> str:
    running = [one["id"] for one in cloud.status()["instances"] if one["state"] == "running"]
    assert len(running) == 1
    return str(running[0])


def test_an_elastic_address_leads_to_the_instance_and_stays_over_stop_and_start(
    cloud: CloudUnderTest, instance: str, address: str
) -> None:
    held = cloud.ec2.allocate_address(Domain="vpc")
    elastic = held["PublicIp"]
    association = cloud.ec2.associate_address(InstanceId=instance, AllocationId=held["AllocationId"])
    assert cloud.describe(instance)["PublicIpAddress"] == elastic
    wait_until(lambda: opens(elastic, 22), 40)

    cloud.ec2.stop_instances(InstanceIds=[instance])
    assert cloud.describe(instance)["State"]["Name"] == "stopped"
    assert not opens(elastic, 22)
    changed = USER_DATA.replace("echo boot", "echo never")
    cloud.ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": changed.encode()})
    cloud.ec2.start_instances(InstanceIds=[instance])
    described = cloud.describe(instance)
    assert (described["State"]["Name"], described["PrivateIpAddress"]) == ("running", address)
    assert described["PublicIpAddress"] == elastic
    wait_until(lambda: opens(elastic, 22), 40)
    assert not opens(address, SERVICE_PORT)
    assert cloud.ssh(elastic, "sudo cat /root/boots") == "boot"

    cloud.ec2.disassociate_address(AssociationId=association["AssociationId"])
    assert not opens(elastic, 22)
    assert cloud.describe(instance)["PublicIpAddress"] == address
    cloud.ec2.release_address(AllocationId=held["AllocationId"])


def test_a_reboot_comes_back_with_the_filter_whoever_asked_for_it(
    cloud: CloudUnderTest, instance: str, address: str
) -> None:
    def boot_time() -> str:
        return docker("inspect", "--format", "{{.State.StartedAt}}", f"onebox-{NAME}-{instance}")

    first = boot_time()
    cloud.ec2.reboot_instances(InstanceIds=[instance])
    second = boot_time()
    assert second != first
    wait_until(lambda: opens(address, 22), 40)
    cloud.ssh(address, "sudo systemd-run --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot")
    wait_until(lambda: boot_time() != second, 40)
    wait_until(lambda: opens(address, 22), 40)
    assert cloud.describe(instance)["State"]["Name"] == "running"
    assert not opens(address, SERVICE_PORT)


def test_a_killed_daemon_starts_again_with_everything_as_it_was(
    cloud: CloudUnderTest, group: str, instance: str, address: str
) -> None:
    def memory() -> tuple[Any, ...]:
        described = cloud.describe(instance)
        rules = cloud.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
        attribute = cloud.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        return (
            described,
            rules["SecurityGroupRules"],
            attribute["UserData"],
            cloud.ec2.describe_key_pairs()["KeyPairs"],
        )

    before = memory()
    started_at = docker("inspect", "--format", "{{.State.StartedAt}}", f"onebox-{NAME}-{instance}")
    os.kill(cloud.status()["pid"], signal.SIGKILL)
    wait_until(lambda: cloud.command("status").returncode == 3, 40)
    assert opens(address, 22)
    restarted = cloud.command("start")
    assert restarted.returncode == 0, restarted.stderr
    assert memory() == before
    assert docker("inspect", "--format", "{{.State.StartedAt}}", f"onebox-{NAME}-{instance}") == started_at


def test_starting_a_running_cloud_changes_nothing(cloud: CloudUnderTest) -> None:
    before = cloud.status()
    assert cloud.command("start").returncode == 0
    assert cloud.status() == before


def test_an_instance_that_shuts_itself_down_shows_as_stopped(
    cloud: CloudUnderTest, instance: str, address: str
) -> None:
    cloud.ssh(address, "sudo systemd-run --on-active=1 --timer-property=AccuracySec=100ms systemctl poweroff")
    wait_until(lambda: cloud.describe(instance)["State"]["Name"] == "stopped", 40)


def test_termination_leaves_nothing(cloud: CloudUnderTest, instance: str) -> None:
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    assert cloud.describe(instance)["State"]["Name"] == "terminated"
    label = f"label=io.onebox.cloud={NAME}"
    assert docker("ps", "--all", "--quiet", "--filter", label) == ""
    assert docker("volume", "ls", "--quiet", "--filter", f"name=onebox-{NAME}-") == ""
    assert list((cloud.state_dir / "instances").iterdir()) == []


def test_a_container_removed_by_hand_shows_as_terminated(cloud: CloudUnderTest, group: str) -> None:
    created = run_instance(cloud, group)
    docker("rm", "--force", f"onebox-{NAME}-{created}")
    assert cloud.describe(created)["State"]["Name"] == "terminated"


def test_an_unknown_image_is_refused_in_the_words_of_ec2(cloud: CloudUnderTest, group: str) -> None:
    with pytest.raises(cloud.ec2.exceptions.ClientError, match=r"InvalidAMIID\.NotFound"):
        run_instance(cloud, group, ImageId="ami-00000000000000000")

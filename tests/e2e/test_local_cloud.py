"""The local cloud for real: containers that boot, packets that arrive or do not, a daemon that is killed."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.e2e.conftest import CLOUD_OPTIONS, STACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

# The stack of the other tests has a cloud of its own beside this one.
NAME = f"{STACK}-cloud"
WORDS = CLOUD_OPTIONS.split()
BESIDE = dict(zip(WORDS[::2], WORDS[1::2], strict=True))
PORT = int(BESIDE["--port"]) + 1
REGISTRY_PORT = int(BESIDE["--registry-port"]) + 1
_NETWORK = ipaddress.ip_network(BESIDE["--subnet"])
_NEXT = ipaddress.ip_network((int(_NETWORK.broadcast_address) + 1, _NETWORK.prefixlen))
SUBNET = str(_NEXT)
GATEWAY = f"{_NEXT.network_address + 1}/32"
ENDPOINT = f"http://127.0.0.1:{PORT}"
SERVICE_PORT = 5000
USER_DATA = """#cloud-config
write_files:
  - path: /etc/systemd/system/hello.service
    content: |
      [Service]
      ExecStart=/usr/bin/python3 -m http.server 5000 --directory /run/user
      [Install]
      WantedBy=multi-user.target
runcmd:
  - [sh, -c, "echo boot >> /root/boots"]
  - [systemctl, enable, --now, hello.service]
"""


class CloudUnderTest:
    """One local cloud, its command line and its API."""

    def __init__(self, state_dir: Path, cache_dir: Path, key: Path) -> None:
        self.state_dir = state_dir
        self.key = key
        self._dirs = ["--state-dir", str(state_dir), "--cache-dir", str(cache_dir)]
        self.ec2: Any = boto3.client(
            "ec2",
            endpoint_url=ENDPOINT,
            region_name="eu-central-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def command(self, *argv: str) -> subprocess.CompletedProcess[str]:
        options = [
            "--name",
            NAME,
            "--port",
            str(PORT),
            "--subnet",
            SUBNET,
            "--registry-port",
            str(REGISTRY_PORT),
        ]
        return subprocess.run(
            [sys.executable, "-m", "infra.local", *argv, *options, *self._dirs],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def status(self) -> dict[str, Any]:
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        content = json.loads(done.stdout)
        assert isinstance(content, dict)
        return content

    def describe(self, instance_id: str) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[instance_id])
        found = answer["Reservations"][0]["Instances"][0]
        assert isinstance(found, dict)
        return found

    def ssh(self, address: str, *command: str) -> str:
        options = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]
        done = subprocess.run(
            ["ssh", "-i", str(self.key), *options, "-o", "ConnectTimeout=5", f"admin@{address}", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def opens(address: str, port: int, timeout: float = 0.5) -> bool:
    """Whether a TCP connection from this machine is answered."""
    try:
        with socket.create_connection((address, port), timeout=timeout):
            return True
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 40.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def docker(*argv: str) -> str:
    return subprocess.run(
        ["docker", *argv], capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()


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


def permission(port: int, source: str) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": source}]}


def run_instance(cloud: CloudUnderTest, group: str, **extra: Any) -> str:
    image = cloud.ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    facts = {
        "ImageId": image,
        "InstanceType": "t3.medium",
        "SecurityGroupIds": [group],
        "KeyName": "key",
        **extra,
    }
    answer = cloud.ec2.run_instances(MinCount=1, MaxCount=1, **facts)
    return str(answer["Instances"][0]["InstanceId"])


@pytest.fixture(scope="module")
def instance(cloud: CloudUnderTest, group: str) -> str:
    """An instance whose cloud-init has finished, with a web server on port 5000."""
    cloud.ec2.import_key_pair(KeyName="key", PublicKeyMaterial=cloud.key.with_suffix(".pub").read_bytes())
    created = run_instance(cloud, group, UserData=USER_DATA)
    address = cloud.describe(created)["PublicIpAddress"]
    assert eventually(lambda: opens(address, 22))
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
    assert eventually(lambda: opens(elastic, 22))

    cloud.ec2.stop_instances(InstanceIds=[instance])
    assert cloud.describe(instance)["State"]["Name"] == "stopped"
    assert not opens(elastic, 22)
    changed = USER_DATA.replace("echo boot", "echo never")
    cloud.ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": changed.encode()})
    cloud.ec2.start_instances(InstanceIds=[instance])
    described = cloud.describe(instance)
    assert (described["State"]["Name"], described["PrivateIpAddress"]) == ("running", address)
    assert described["PublicIpAddress"] == elastic
    assert eventually(lambda: opens(elastic, 22))
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
    assert eventually(lambda: opens(address, 22))
    cloud.ssh(address, "sudo systemd-run --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot")
    assert eventually(lambda: boot_time() != second)
    assert eventually(lambda: opens(address, 22))
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
    assert eventually(lambda: cloud.command("status").returncode == 3)
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
    assert eventually(lambda: cloud.describe(instance)["State"]["Name"] == "stopped")


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

"""A local cloud of the tests' own, beside that of the stack, and what it is asked."""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3

from tests.e2e.conftest import CLOUD_OPTIONS, STACK

if TYPE_CHECKING:
    from pathlib import Path


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


def docker(*argv: str) -> str:
    return subprocess.run(
        ["docker", *argv], capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()


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

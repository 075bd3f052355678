"""The local cloud's daemon in this process, with machines that are recorded, not booted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from infra.local.api.cloud import Cloud
from infra.local.errors import DockerFailedError
from infra.local.instances.instance import Boot, Container, Network
from infra.local.settings import REGION, CloudSettings

if TYPE_CHECKING:
    pass


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

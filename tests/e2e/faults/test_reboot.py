"""Row F24: the host reboots."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
import yaml

from provisioning.host.drift import read_status
from tests.e2e.conftest import STACK
from tests.e2e.faults.figures import figure
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Checkout
    from tests.e2e.faults.real_host import RealHost

pytestmark = pytest.mark.e2e

LIMIT_SECONDS = 60


def ec2(checkout: Checkout) -> Any:
    """The API of the cloud that the stack lives in."""
    config = yaml.safe_load((checkout.root / f"Pulumi.{STACK}.yaml").read_text())["config"]
    return boto3.client(
        "ec2",
        endpoint_url=config["aws:endpoints"][0]["ec2"],
        region_name=config["aws:region"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def test_f24_a_rebooted_host_serves_again_by_itself(rehearsal: Checkout, host: RealHost) -> None:
    url = f"{rehearsal.outputs()['api_url']}/predict"

    def answers() -> bool:
        try:
            said = requests.post(url, json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=2)
        except requests.RequestException:
            return False
        return said.status_code == 200 and said.json()["class"] == "setosa"

    ids = host.ids(host.settings.project_name)
    booted = host.sh("stat -c %Y /proc/1")
    assert answers()
    api = ec2(rehearsal)
    began = time.monotonic()
    api.reboot_instances(InstanceIds=[host.instance_id])
    wait_until(
        lambda: host.inside("stat", "-c", "%Y", "/proc/1", check=False) not in ("", booted), 60, "it boots"
    )
    shutdown = time.monotonic() - began
    took = wait_until(
        lambda: answers() and host.healthy(host.settings.project_name),
        LIMIT_SECONDS,
        "all three services are healthy",
    )
    api.close()
    status = read_status(host.settings)
    assert status.drift == ()
    assert host.ids(host.settings.project_name) == ids
    figure(
        "F24",
        f"host rebooted: predictions and three healthy services {took:.0f} s after it came up (it was down after "
        f"{shutdown:.0f} s), nobody helped",
    )

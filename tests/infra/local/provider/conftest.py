"""EC2 in this process and a provider configured for it: fixtures of the provider's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.infra.local.provider.driver import REGION, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of EC2 on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def ec2(endpoint: str) -> Any:
    """A client of one's own, to look at what is there and to change it by hand."""
    return boto3.client(
        "ec2", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture(scope="module")
def image(ec2: Any) -> str:
    """The id of some image."""
    found: str = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    return found


@pytest.fixture(scope="module")
def engine(endpoint: str) -> Engine:
    """A provider configured for it, with one default tag."""
    return Engine(endpoint, default_tags={"project": "onebox"})

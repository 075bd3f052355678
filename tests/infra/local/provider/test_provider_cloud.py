"""Waiting, failing and being cancelled."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from infra.local.provider import wire
from infra.local.provider.config import ProviderConfig
from infra.local.provider.ec2.client import Cloud
from infra.local.provider.errors import CancelledError, CloudRefusedError, WaitTimeoutError
from infra.local.provider.types import instance
from tests.infra.local.provider.driver import REGION, Aborted, Context, Engine, urn_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

CONFIG = ProviderConfig(REGION, "http://127.0.0.1:9")


def test_a_wait_is_bounded_and_reports_the_last_state() -> None:
    with pytest.raises(WaitTimeoutError, match="instance i-1 is pending and not running after 0 s"):
        Cloud(CONFIG).wait("instance i-1", "running", lambda: "pending", seconds=0)


def test_cancel_ends_every_wait() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(CancelledError, match="cancelled while waiting for instance i-1"):
        Cloud(CONFIG, cancelled).wait("instance i-1", "running", lambda: "pending", seconds=60)


def test_something_in_use_is_tried_again_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(CONFIG)
    answers = iter([CloudRefusedError("DeleteSecurityGroup", "DependencyViolation", "in use"), None])

    def answer(*_: Any, **__: Any) -> None:
        refused = next(answers)
        if refused:
            raise refused

    monkeypatch.setattr(cloud, "find", answer)
    cloud.delete("DeleteSecurityGroup", (), 10, GroupId="sg-1")
    assert next(answers, "used up") == "used up"


def test_something_that_stays_in_use_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(CONFIG)

    def refuse(*_: Any, **__: Any) -> None:
        raise CloudRefusedError("DeleteSecurityGroup", "DependencyViolation", "in use")

    monkeypatch.setattr(cloud, "find", refuse)
    with pytest.raises(CloudRefusedError, match="DependencyViolation"):
        cloud.delete("DeleteSecurityGroup", (), 0, GroupId="sg-1")


def test_a_cloud_that_does_not_answer_is_named_with_its_start_command() -> None:
    engine = Engine("http://127.0.0.1:9")
    with pytest.raises(
        Aborted, match=r"the local cloud at http://127\.0\.0\.1:9 does not answer; start it with: make up"
    ) as caught:
        engine.create("Eip", {})
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def test_a_cancelled_provider_ends_its_waits(
    endpoint: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(endpoint)
    engine.provider.Cancel(None, Context())
    monkeypatch.setattr(instance, "state_of", lambda *_: "pending")
    with pytest.raises(Aborted, match="cancelled while waiting for instance"):
        engine.create("Instance", {"ami": image, "instanceType": "t3.small"})


@pytest.fixture
def stub(engine: Engine) -> Iterator[Any]:
    """The provider behind a real gRPC channel."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(engine.provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None).wait()


def test_an_instance_that_does_not_get_ready_is_reported_to_the_engine_with_its_id(
    stub: Any, ec2: Any, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "state_of", lambda *_: "terminated")
    inputs = wire.encode({"ami": image, "instanceType": "t3.small"})
    with pytest.raises(grpc.RpcError, match="was terminated while it was to start") as caught:
        stub.Create(provider_pb2.CreateRequest(urn=urn_of("Instance"), properties=inputs), timeout=20)
    trailing = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    unfinished = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(unfinished)
    assert ec2.describe_instances(InstanceIds=[unfinished.id])["Reservations"]
    assert unfinished.inputs["instanceType"] == "t3.small"
    assert list(unfinished.reasons) == [status.message]

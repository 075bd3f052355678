"""The program's resources, recorded by Pulumi's own mocks: what would be created, and how it hangs together."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
import yaml
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from infra.host import StackHost
from infra.network import StackNetwork
from provisioning.config.service_facts import PUBLIC_PORTS

if TYPE_CHECKING:
    from tests.infra.conftest import Configure

TAGS = {"onebox:stack": "test"}


@dataclass
class Recorder(Mocks):
    """Keeps what the program asked the engine for."""

    resources: list[MockResourceArgs] = field(default_factory=list)
    calls: list[MockCallArgs] = field(default_factory=list)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append(args)
        computed = {"allocationId": "eipalloc-1", "publicIp": "192.0.2.10", "keyName": "onebox-login"}
        keys = {"private_key": "PRIVATE", "public_key": "ssh-ed25519 AAAA"}
        return f"{args.name}-id", {
            **computed,
            **keys,
            **{k: v for k, v in args.inputs.items() if v is not None},
        }

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        self.calls.append(args)
        return {"id": "ami-0123456789abcdef0"}, []

    def of(self, token: str) -> list[dict[str, Any]]:
        return [args.inputs for args in self.resources if args.typ == token]

    def one(self, token: str) -> dict[str, Any]:
        (inputs,) = self.of(token)
        return inputs


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Pulumi's mocks; the event loops that its runtime opens are closed again."""
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def tracked() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", tracked)
    asyncio.set_event_loop(tracked())
    mocks = Recorder()
    pulumi.runtime.set_mocks(mocks, project="onebox", stack="test", preview=False)
    yield mocks
    asyncio.set_event_loop(None)
    for loop in loops:
        loop.close()


def run(recorder: Recorder, configure: Configure, **config: Any) -> Recorder:
    settings = configure(**config)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        network = StackNetwork("onebox", settings.cidrs, TAGS, settings.aws_plugin_version)
        host = StackHost("onebox", settings, network.group_id, TAGS)
        return pulumi.Output.all(host.public_ip, host.instance_id)

    program()
    return recorder


INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def test_there_is_one_ingress_rule_for_each_port_and_cidr(recorder: Recorder, configure: Configure) -> None:
    run(recorder, configure, apiCidrs=["10.0.0.0/8", "2001:db8::/32"], prometheusCidrs=["10.1.0.0/16"])
    rules = {
        (rule["fromPort"], rule["toPort"], rule["ipProtocol"], rule.get("cidrIpv4") or rule.get("cidrIpv6"))
        for rule in recorder.of(INGRESS)
    }
    assert rules == {
        (22, 22, "tcp", "203.0.113.7/32"),
        (5000, 5000, "tcp", "10.0.0.0/8"),
        (5000, 5000, "tcp", "2001:db8::/32"),
        (9090, 9090, "tcp", "10.1.0.0/16"),
    }


def test_a_port_without_a_cidr_has_no_rule(recorder: Recorder, configure: Configure) -> None:
    run(recorder, configure)
    assert {rule["fromPort"] for rule in recorder.of(INGRESS)} == {PUBLIC_PORTS["ssh"]}


def test_an_ipv4_rule_names_no_ipv6_network_and_the_other_way_round(
    recorder: Recorder, configure: Configure
) -> None:
    run(recorder, configure, apiCidrs=["2001:db8::/32"])
    for rule in recorder.of(INGRESS):
        (network,) = [rule[name] for name in ("cidrIpv4", "cidrIpv6") if rule.get(name)]
        assert ipaddress.ip_network(network).version == (4 if rule.get("cidrIpv4") else 6)


def test_the_instance_answers_only_imdsv2_and_containers_cannot_reach_it(
    recorder: Recorder, configure: Configure
) -> None:
    run(recorder, configure)
    options = recorder.one("aws:ec2/instance:Instance")["metadataOptions"]
    assert options["httpTokens"] == "required"
    assert options["httpPutResponseHopLimit"] == 1


def test_the_root_disk_is_encrypted_gp3_of_the_wanted_size(recorder: Recorder, configure: Configure) -> None:
    run(recorder, configure, volumeSizeGb="33")
    disk = recorder.one("aws:ec2/instance:Instance")["rootBlockDevice"]
    assert (disk["volumeType"], disk["volumeSize"], disk["encrypted"]) == ("gp3", 33, True)


def test_the_publishers_newest_image_is_asked_for_unless_one_is_named(
    recorder: Recorder, configure: Configure
) -> None:
    run(recorder, configure)
    (call,) = recorder.calls
    assert call.token == "aws:ec2/getAmi:getAmi"
    assert call.args["owners"] == ["136693071363"]
    recorder.calls.clear()
    recorder.resources.clear()
    run(recorder, configure, amiId="ami-0fedcba9876543210")
    assert recorder.calls == []
    assert recorder.one("aws:ec2/instance:Instance")["ami"] == "ami-0fedcba9876543210"


def test_another_user_data_replaces_the_host(recorder: Recorder, configure: Configure) -> None:
    run(recorder, configure)
    assert recorder.one("aws:ec2/instance:Instance")["userDataReplaceOnChange"] is True


def test_user_data_installs_the_stacks_host_key(recorder: Recorder, configure: Configure) -> None:
    run(recorder, configure)
    user_data = recorder.one("aws:ec2/instance:Instance")["userData"]
    assert yaml.safe_load(user_data["value"])["ssh_keys"]["ed25519_private"] == "PRIVATE"


def test_user_data_is_a_secret_of_the_state(recorder: Recorder, configure: Configure) -> None:
    run(recorder, configure)
    assert rpc._special_secret_sig in recorder.one("aws:ec2/instance:Instance")["userData"].values()


def test_everything_that_bears_tags_has_the_stacks(recorder: Recorder, configure: Configure) -> None:
    run(recorder, configure, apiCidrs=["10.0.0.0/8"])
    for args in recorder.resources:
        if args.typ.startswith("aws:") and "Association" not in args.typ:
            assert args.inputs["tags"].items() >= TAGS.items(), args.typ


def test_no_resource_but_the_instance_gets_the_private_host_key(
    recorder: Recorder, configure: Configure
) -> None:
    run(recorder, configure)
    for args in recorder.resources:
        if args.typ != "aws:ec2/instance:Instance":
            assert "PRIVATE" not in str(args.inputs), args.typ

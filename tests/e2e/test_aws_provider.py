"""The rehearsal's AWS provider under the real engine: a program with every type, against EC2 in this process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
VERSION = "7.51.2-rehearsal.1"
REGION = "eu-central-1"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgmUOQlbw9UztnnHrDH8/fqMVCpJcBYrmf5ewxBL0bF rehearsal"
USER_DATA = "#cloud-config\n# a word that stays secret: xyzzy\n"

PROGRAM = """
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
release = pulumi.ResourceOptions(version="VERSION")
look = pulumi.InvokeOptions(version="VERSION")

image = aws.ec2.get_ami(
    most_recent=True,
    owners=["099720109477"],
    filters=[{"name": "virtualization-type", "values": ["hvm"]}],
    opts=look,
)
network = aws.ec2.get_vpc(default=True, opts=look)
group = aws.ec2.SecurityGroup("web", description="ports", vpc_id=network.id, tags={"Name": "web"}, opts=release)
aws.vpc.SecurityGroupIngressRule(
    "api", security_group_id=group.id, ip_protocol="tcp", from_port=5000, to_port=5000,
    cidr_ipv4="10.0.0.0/8", description="api", opts=release,
)
aws.vpc.SecurityGroupEgressRule(
    "out", security_group_id=group.id, ip_protocol="-1", cidr_ipv4="0.0.0.0/0", opts=release,
)
key = aws.ec2.KeyPair("host", public_key=config.require("publicKey"), opts=release)
host = aws.ec2.Instance(
    "host",
    ami=image.id,
    instance_type="t3.small",
    key_name=key.key_name,
    vpc_security_group_ids=[group.id],
    user_data=config.require_secret("userData"),
    user_data_replace_on_change=True,
    metadata_options={
        "http_tokens": "required", "http_endpoint": "enabled",
        "http_put_response_hop_limit": 2, "instance_metadata_tags": "enabled",
    },
    root_block_device={
        "volume_type": "gp3", "volume_size": 20, "encrypted": True,
        "delete_on_termination": True, "tags": {"disk": "root"},
    },
    monitoring=False,
    tags={"Name": config.require("hostName")},
    opts=release,
)
address = aws.ec2.Eip("host", domain="vpc", opts=release)
link = aws.ec2.EipAssociation("host", instance_id=host.id, allocation_id=address.allocation_id, opts=release)

pulumi.export("instance", host.id)
pulumi.export("group", group.id)
pulumi.export("group_name", group.name)
pulumi.export("address", address.public_ip)
pulumi.export("linked", link.public_ip)
pulumi.export("all_tags", host.tags_all)
pulumi.export("image", image.id)
"""


def _engine_bin() -> Path:
    """The directory of the engine, from ONEBOX_ENGINE_BIN or PATH."""
    given = os.environ.get("ONEBOX_ENGINE_BIN")
    found = shutil.which("pulumi", path=given or os.environ.get("PATH"))
    if found is None:
        pytest.fail(
            "no pulumi engine: set ONEBOX_ENGINE_BIN to the directory that holds pulumi, or put it on PATH"
        )
    return Path(found).resolve().parent


@dataclass(frozen=True)
class Stack:
    """One stack of the small program, with an engine home and a state of its own."""

    program: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        return subprocess.run(
            command,
            cwd=self.program,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def set(self, *arguments: str) -> None:
        self.must("config", "set", *arguments)

    def up(self, *arguments: str) -> dict[str, int]:
        """Deploys; the number of resources by what was done to them."""
        return _operations(self.must("up", "--yes", "--skip-preview", "--json", *arguments))

    def preview(self) -> dict[str, int]:
        changes: dict[str, int] = json.loads(self.must("preview", "--json"))["changeSummary"]
        return changes

    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = json.loads(self.must("stack", "output", "--json"))
        return outputs

    def resources(self) -> list[dict[str, Any]]:
        resources: list[dict[str, Any]] = json.loads(self.must("stack", "export"))["deployment"].get(
            "resources", []
        )
        return resources


def _operations(lines: str) -> dict[str, int]:
    """The change summary of the engine's stream of JSON events."""
    for line in lines.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if "summaryEvent" in event:
            changes: dict[str, int] = event["summaryEvent"]["resourceChanges"]
            return changes
    raise AssertionError(f"no summary in: {lines}")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def ec2(endpoint: str) -> Any:
    return boto3.client(
        "ec2", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture(scope="module")
def stack(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    base = tmp_path_factory.mktemp("provider")
    program, home, state = base / "program", base / "home", base / "state"
    plugin = home / "plugins" / f"resource-aws-v{VERSION}"
    for directory in (program, plugin, state):
        directory.mkdir(parents=True)
    (plugin / "pulumi-resource-aws").symlink_to(ROOT / "infra" / "local" / "provider" / "pulumi-resource-aws")
    (program / "Pulumi.yaml").write_text(
        "name: provider-check\nruntime:\n  name: python\n  options: {toolchain: pip}\n"
    )
    (program / "__main__.py").write_text(textwrap.dedent(PROGRAM.replace("VERSION", VERSION)))
    scripts = Path(sys.executable).parent
    stack = Stack(
        program,
        {
            "PATH": os.pathsep.join([str(scripts), str(_engine_bin()), os.environ["PATH"]]),
            "HOME": str(base),
            "ONEBOX_PYTHON": sys.executable,
            "VIRTUAL_ENV": str(scripts.parent),
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "only for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
            "PULUMI_CREDENTIAL_STORE": "plaintext",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
    )
    stack.must("stack", "init", "check", "--secrets-provider", "passphrase")
    stack.set("aws:region", REGION)
    stack.set("--path", "aws:endpoints[0].ec2", endpoint)
    stack.set("aws:accessKey", "local-access")
    stack.set("--secret", "aws:secretKey", "local-secret")
    for key in ("CredentialsValidation", "RequestingAccountId", "RegionValidation", "MetadataApiCheck"):
        stack.set(f"aws:skip{key}", "true")
    stack.set("--path", "aws:defaultTags.tags.project", "onebox")
    stack.set("publicKey", PUBLIC_KEY)
    stack.set("hostName", "one")
    stack.set("--secret", "userData", USER_DATA)
    return stack


def _instance(ec2: Any, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"][0]
    return found


def test_the_life_of_a_stack(stack: Stack, ec2: Any) -> None:
    assert stack.preview() == {"create": 8}
    assert not ec2.describe_key_pairs()["KeyPairs"], "a preview makes nothing"

    assert stack.up() == {"create": 8}
    first = stack.outputs()
    assert first["linked"] == first["address"]
    assert first["group_name"].startswith("web-")
    assert first["all_tags"] == {"project": "onebox", "Name": "one"}
    assert _instance(ec2, first["instance"])["State"]["Name"] == "running"

    assert stack.preview() == {"same": 8}
    assert stack.up() == {"same": 8}

    stack.set("hostName", "two")
    assert stack.up() == {"same": 7, "update": 1}
    assert stack.outputs()["instance"] == first["instance"]
    assert {"Key": "Name", "Value": "two"} in _instance(ec2, first["instance"])["Tags"]

    stack.set("--secret", "userData", USER_DATA + "# changed\n")
    assert stack.up() == {"same": 6, "replace": 2}
    second = stack.outputs()
    assert second["instance"] != first["instance"]
    assert _instance(ec2, first["instance"])["State"]["Name"] == "terminated"
    assert _instance(ec2, second["instance"])["PublicIpAddress"] == second["address"]
    assert "xyzzy" not in json.dumps(stack.resources()), "user data that came as a secret stays one"

    ec2.create_tags(Resources=[second["instance"]], Tags=[{"Key": "by-hand", "Value": "yes"}])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [second["group"]]}])
    ingress = [rule["SecurityGroupRuleId"] for rule in rules["SecurityGroupRules"] if not rule["IsEgress"]]
    ec2.revoke_security_group_ingress(GroupId=second["group"], SecurityGroupRuleIds=ingress)
    stack.must("refresh", "--yes", "--skip-preview")
    assert stack.up() == {"same": 6, "create": 1, "update": 1}
    tags = {tag["Key"] for tag in _instance(ec2, second["instance"])["Tags"]}
    assert tags == {"Name", "project"}

    stack.must("destroy", "--yes", "--skip-preview")
    assert stack.resources() == []
    assert _instance(ec2, second["instance"])["State"]["Name"] == "terminated"
    assert not ec2.describe_addresses()["Addresses"]
    assert not ec2.describe_key_pairs()["KeyPairs"]
    assert [group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]] == ["default"]


def test_an_endpoint_that_is_not_on_this_machine_is_refused_before_anything_happens(stack: Stack) -> None:
    kept = (stack.program / "Pulumi.check.yaml").read_text()
    stack.set("--path", "aws:endpoints[0].ec2", "https://ec2.eu-central-1.amazonaws.com")
    try:
        done = stack.run("preview")
    finally:
        (stack.program / "Pulumi.check.yaml").write_text(kept)
    assert done.returncode != 0
    assert "belongs to the rehearsal and only talks to a local cloud" in done.stdout + done.stderr
    assert "pulumi plugin install resource aws v7.51.1" in done.stdout + done.stderr


def test_a_local_cloud_that_is_not_running_is_named_with_the_way_to_start_it(stack: Stack) -> None:
    kept = (stack.program / "Pulumi.check.yaml").read_text()
    stack.set("--path", "aws:endpoints[0].ec2", "http://127.0.0.1:9")
    try:
        done = stack.run("preview")
    finally:
        (stack.program / "Pulumi.check.yaml").write_text(kept)
    assert done.returncode != 0
    assert (
        "the local cloud at http://127.0.0.1:9 does not answer; start it with: make up"
        in done.stdout + done.stderr
    )

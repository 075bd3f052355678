"""An instance's files and Docker commands."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from infra.local.instances.instance import (
    Boot,
    Container,
    inspect_argv,
    instance_resolver,
    meta_data,
    reachable_nameservers,
    read_survey,
    run_argv,
    survey_argv,
)
from infra.local.private_file import write_private
from infra.local.settings import cloud_settings

CLOUD = cloud_settings("t", 4999, "10.9.8.0/24", Path("/state"), Path("/cache"))
BOOT = Boot("i-1", "10.9.8.4", b"#cloud-config\n", (("mine", "ssh-ed25519 AAAA me"),))


def pairs(argv: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(argv) if name == option]


def test_an_instance_has_its_own_address_name_disk_and_labels() -> None:
    argv = run_argv(CLOUD, BOOT, "host:1")
    assert argv[0] == "run"
    assert argv[-1] == "host:1"
    assert pairs(argv, "--network") == ["onebox-t"]
    assert pairs(argv, "--ip") == ["10.9.8.4"]
    assert pairs(argv, "--hostname") == ["ip-10-9-8-4"]
    assert pairs(argv, "--label") == ["io.onebox.cloud=t", "io.onebox.instance=i-1"]
    assert "onebox-t-i-1:/var/lib/docker" in pairs(argv, "--volume")


def test_an_instance_is_not_privileged_and_cannot_write_what_the_cloud_tells_it() -> None:
    argv = run_argv(CLOUD, BOOT, "host:1")
    assert "--privileged" not in argv
    assert "SYS_RESOURCE" not in pairs(argv, "--cap-add")
    told = [volume for volume in pairs(argv, "--volume") if volume.startswith("/state/instances/i-1/")]
    assert [volume for volume in told if volume.endswith(":ro")] == [
        "/state/instances/i-1/seed:/var/lib/cloud/seed/nocloud:ro",
        "/state/instances/i-1/cloud:/var/lib/local-cloud:ro",
    ]


def test_no_user_data_stands_in_the_command() -> None:
    assert not any(
        "cloud-config" in word or "ssh-ed25519" in word for word in run_argv(CLOUD, BOOT, "host:1")
    )


def test_only_containers_of_this_cloud_are_looked_at() -> None:
    assert pairs(survey_argv(CLOUD), "--filter") == ["label=io.onebox.cloud=t"]
    assert inspect_argv(["a", "b"])[-2:] == ["a", "b"]


def test_docker_output_is_read_by_instance() -> None:
    lines = '["i-1",true,0,"2026-01-01T00:00:00Z"]\n["i-2",false,130,"2026-01-02T00:00:00Z"]\n\n'
    assert read_survey(lines) == {
        "i-1": Container("i-1", True, 0, "2026-01-01T00:00:00Z"),
        "i-2": Container("i-2", False, 130, "2026-01-02T00:00:00Z"),
    }


def test_meta_data_names_the_instance_and_its_key() -> None:
    assert json.loads(meta_data(BOOT)) == {
        "instance-id": "i-1",
        "local-hostname": "ip-10-9-8-4.eu-central-1.compute.internal",
        "public-keys": ["ssh-ed25519 AAAA me"],
    }


def test_an_instance_gets_no_name_server_that_it_cannot_reach() -> None:
    text = "# made by\nsearch example.org\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver 10.0.0.53\n"
    assert reachable_nameservers(text) == "search example.org\nnameserver 10.0.0.53\n"


def test_a_loopback_stub_is_replaced_by_the_servers_behind_it(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 192.0.2.1\n")
    assert instance_resolver([tmp_path / "absent", stub, real]) == "nameserver 192.0.2.1\n"


def test_a_private_file_is_replaced_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "user-data"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["user-data"]

"""What a cloud can be told, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.errors import BadSettingError
from infra.local.process.lifecycle import ca_files, daemon_environment, network_argv
from infra.local.settings import cloud_settings, halves, settings_from_json


def test_instances_and_elastic_addresses_share_the_network_half_and_half() -> None:
    cloud = cloud_settings(subnet="10.1.2.0/24")
    assert str(cloud.instance_range) == "10.1.2.0/25"
    assert [str(half) for half in halves(cloud.subnet)] == ["10.1.2.0/25", "10.1.2.128/25"]
    assert str(cloud.gateway) == "10.1.2.1"
    assert cloud.registry_url == "http://10.1.2.1:5577"


def test_settings_survive_being_written_down(tmp_path: Path) -> None:
    cloud = cloud_settings("other", 4600, "10.1.2.0/24", tmp_path, tmp_path / "cache", 5600)
    assert settings_from_json(cloud.to_json()) == cloud


@pytest.mark.parametrize("name", ["", "Local", "a/b", "-a", "a" * 21])
def test_a_name_that_docker_or_a_path_could_not_carry_is_refused(name: str) -> None:
    with pytest.raises(BadSettingError, match="cannot name a cloud"):
        cloud_settings(name)


@pytest.mark.parametrize("subnet", ["10.1.2.3/24", "10.0.0.0/8", "10.1.2.0/28", "8.8.8.0/24", "nonsense"])
def test_a_subnet_that_cannot_carry_a_cloud_is_refused_by_name(subnet: str) -> None:
    with pytest.raises(BadSettingError, match=f"subnet {subnet}"):
        cloud_settings(subnet=subnet)


def test_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(BadSettingError, match="port 70000"):
        cloud_settings(port=70000)


def test_docker_hands_out_addresses_only_from_the_half_of_the_instances() -> None:
    argv = network_argv(cloud_settings(subnet="10.1.2.0/24"))
    assert argv[argv.index("--ip-range") + 1] == "10.1.2.0/25"
    assert argv[argv.index("--gateway") + 1] == "10.1.2.1"


def test_the_daemon_does_not_see_accounts_or_switches_of_the_caller() -> None:
    assert daemon_environment({"AWS_PROFILE": "x", "MOTO_AMIS_PATH": "y", "PATH": "/bin"}) == {"PATH": "/bin"}


def test_only_certificates_of_the_administrator_are_found(tmp_path: Path) -> None:
    (tmp_path / "company").mkdir()
    (tmp_path / "company" / "ca.crt").touch()
    (tmp_path / "readme.txt").touch()
    assert ca_files(tmp_path) == [str(tmp_path / "company" / "ca.crt")]
    assert ca_files(tmp_path / "absent") == []

"""User-data: what the first boot is told, and what it never is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from infra.cloud_config import USER_DATA_LIMIT_BYTES, BootSettings, UserDataTooLong, render

BOOT = BootSettings(
    os="debian-13",
    user="admin",
    host_key_private="-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n",
    host_key_public="ssh-ed25519 AAAA",
)


def parsed(boot: BootSettings) -> dict[str, Any]:
    text = render(boot)
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    assert isinstance(config, dict)
    return config


def test_equal_settings_give_equal_bytes() -> None:
    assert render(BOOT) == render(replace(BOOT))


def test_the_host_gets_the_key_that_the_stack_expects_of_it() -> None:
    assert parsed(BOOT)["ssh_keys"] == {
        "ed25519_private": BOOT.host_key_private,
        "ed25519_public": BOOT.host_key_public,
    }


def test_nobody_logs_in_with_a_password_or_as_root() -> None:
    config = parsed(BOOT)
    assert config["ssh_pwauth"] is False
    assert config["disable_root"] is True


@pytest.mark.parametrize("os", ["debian-13", "amazon-linux-2023"])
def test_docker_with_compose_and_buildx_comes_as_packages(os: Any) -> None:
    packages = " ".join(parsed(replace(BOOT, os=os))["packages"])
    assert "docker" in packages
    assert "compose" in packages
    assert "buildx" in packages


def test_the_login_user_may_use_docker_and_owns_the_release_store() -> None:
    commands = [" ".join(command) for command in parsed(BOOT)["runcmd"]]
    assert "usermod -aG docker admin" in commands
    assert "install -d -o admin -g admin -m 0755 /opt/onebox" in commands


def test_a_registry_mirror_reaches_the_docker_daemon_only_when_there_is_one() -> None:
    def daemon(boot: BootSettings) -> dict[str, Any]:
        (entry,) = parsed(boot)["write_files"]
        assert entry["path"] == "/etc/docker/daemon.json"
        settings = json.loads(entry["content"])
        assert isinstance(settings, dict)
        return settings

    assert "registry-mirrors" not in daemon(BOOT)
    mirrored = daemon(replace(BOOT, registry_mirror="http://192.0.2.1:5577"))
    assert mirrored["registry-mirrors"] == ["http://192.0.2.1:5577"]
    assert mirrored["insecure-registries"] == ["192.0.2.1:5577"]
    assert "insecure-registries" not in daemon(replace(BOOT, registry_mirror="https://mirror.example.com"))


def test_extra_certificate_authorities_are_trusted() -> None:
    assert "ca_certs" not in parsed(BOOT)
    assert parsed(replace(BOOT, ca_certificates=("PEM\n",)))["ca_certs"] == {"trusted": ["PEM\n"]}


def test_user_data_beyond_the_limit_of_ec2_is_refused() -> None:
    with pytest.raises(UserDataTooLong, match=str(USER_DATA_LIMIT_BYTES)):
        render(replace(BOOT, ca_certificates=("x" * USER_DATA_LIMIT_BYTES,)))

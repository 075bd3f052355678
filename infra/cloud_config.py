"""User-data: the cloud-config of the host's first boot. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from infra.settings import OperatingSystem
from provisioning.config.settings import DEFAULT_REMOTE_ROOT

USER_DATA_LIMIT_BYTES = 16_384
"""EC2's limit of user-data before base64."""


class UserDataTooLong(ValueError):
    """The cloud-config is larger than EC2 accepts."""

    hint = "Shorten onebox:extraCaFiles: certificates are the only long part of it."

    def __init__(self, size: int) -> None:
        super().__init__(f"the user-data has {size} bytes and EC2 takes {USER_DATA_LIMIT_BYTES}")


@dataclass(frozen=True)
class BootSettings:
    """All that the first boot depends on. Equal settings give equal bytes: an unchanged host is not replaced."""

    os: OperatingSystem
    user: str
    host_key_private: str
    host_key_public: str
    ca_certificates: tuple[str, ...] = ()
    registry_mirror: str | None = None


def render(boot: BootSettings) -> str:
    """Return the cloud-config. Raises UserDataTooLong beyond EC2's limit."""
    config = _common(boot) | (_debian(boot) if boot.os == "debian-13" else _amazon_linux(boot))
    text = "#cloud-config\n" + yaml.safe_dump(config, sort_keys=True, width=4096)
    size = len(text.encode())
    if size > USER_DATA_LIMIT_BYTES:
        raise UserDataTooLong(size)
    return text


def _common(boot: BootSettings) -> dict[str, Any]:
    config: dict[str, Any] = {
        # For the first connection only: the first push replaces it by a key that the host creates itself.
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": boot.host_key_private, "ed25519_public": boot.host_key_public},
        "ssh_pwauth": False,
        "disable_root": True,
        "package_update": True,
        "write_files": [
            {"path": "/etc/docker/daemon.json", "permissions": "0644", "content": _daemon_json(boot)},
        ],
    }
    if boot.ca_certificates:
        config["ca_certs"] = {"trusted": list(boot.ca_certificates)}
    return config


def _daemon_json(boot: BootSettings) -> str:
    settings: dict[str, Any] = {
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        # Containers keep running while the daemon is upgraded or restarted.
        "live-restore": True,
    }
    if boot.registry_mirror:
        settings["registry-mirrors"] = [boot.registry_mirror]
        scheme, _, address = boot.registry_mirror.partition("://")
        if scheme == "http":
            # Image builds speak TLS to a mirror whose address is not listed here.
            settings["insecure-registries"] = [address]
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"


def _ready_commands(boot: BootSettings) -> list[list[str]]:
    return [
        ["usermod", "-aG", "docker", boot.user],
        ["install", "-d", "-o", boot.user, "-g", boot.user, "-m", "0755", DEFAULT_REMOTE_ROOT],
        ["systemctl", "enable", "--now", "docker"],
    ]


def _debian(boot: BootSettings) -> dict[str, Any]:
    return {
        # What Docker merely recommends (perl, git, criu …) would take longer than Docker itself.
        "apt": {"conf": 'APT::Install-Recommends "false";\n'},
        "packages": ["docker.io", "docker-cli", "docker-compose", "docker-buildx"],
        "runcmd": _ready_commands(boot),
    }


def _amazon_linux(boot: BootSettings) -> dict[str, Any]:
    # Amazon's own repositories have Docker without compose and buildx; Docker's repository has both as packages.
    return {
        "packages": ["docker", "docker-buildx-plugin", "docker-compose-plugin"],
        "runcmd": _ready_commands(boot),
        "yum_repos": {
            "docker-ce-stable": {
                "name": "Docker CE Stable",
                "baseurl": "https://download.docker.com/linux/centos/9/$basearch/stable",
                "enabled": True,
                "gpgcheck": True,
                "gpgkey": "https://download.docker.com/linux/centos/gpg",
            }
        },
    }

"""The settings of a local cloud, and the values that follow from them."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.local.errors import BadSettingError

REGION: Final = "eu-central-1"
DEFAULT_NAME: Final = "local"
DEFAULT_PORT: Final = 4577
DEFAULT_REGISTRY_PORT: Final = 5577
DEFAULT_SUBNET: Final = "172.29.91.0/24"
STATUS_PATH: Final = "/onebox/status"
CLOUD_LABEL: Final = "io.onebox.cloud"
INSTANCE_LABEL: Final = "io.onebox.instance"
REPO_ROOT: Final = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_LARGEST_SUBNET, _SMALLEST_SUBNET = 16, 27


def halves(subnet: ipaddress.IPv4Network) -> tuple[ipaddress.IPv4Network, ipaddress.IPv4Network]:
    """Return the lower half of a cloud's network, for instances, and the upper half, for elastic addresses."""
    lower, upper = subnet.subnets(prefixlen_diff=1)
    return lower, upper


@dataclass(frozen=True)
class CloudSettings:
    """One local cloud. `subnet` is its network: instances live in the lower half, elastic addresses in the upper."""

    name: str
    port: int
    registry_port: int
    subnet: ipaddress.IPv4Network
    state_dir: Path
    cache_dir: Path

    @property
    def endpoint(self) -> str:
        """Return the URL of the EC2 API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def network(self) -> str:
        """Return the name of the Docker network."""
        return f"onebox-{self.name}"

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """Return the machine's own address on the network, which instances see as its source address."""
        return self.subnet[1]

    @property
    def instance_range(self) -> ipaddress.IPv4Network:
        """Return the lower half of the network: addresses of instances."""
        return halves(self.subnet)[0]

    @property
    def registry_url(self) -> str:
        """Return the URL of the read-only registry mirror for Docker engines inside instances."""
        return f"http://{self.gateway}:{self.registry_port}"

    @property
    def pid_file(self) -> Path:
        """Return the file with the process id of the daemon."""
        return self.state_dir / "daemon.pid"

    @property
    def log_file(self) -> Path:
        """Return the file of the daemon's log."""
        return self.state_dir / "daemon.log"

    @property
    def state_file(self) -> Path:
        """Return the file with the cloud's state, see state.py."""
        return self.state_dir / "ec2.state"

    def instance_dir(self, instance_id: str) -> Path:
        """Return the directory with the files of one instance."""
        return self.state_dir / "instances" / instance_id

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        fields: dict[str, Any] = {
            "name": self.name,
            "port": self.port,
            "registry_port": self.registry_port,
            "subnet": str(self.subnet),
            "state_dir": str(self.state_dir),
            "cache_dir": str(self.cache_dir),
        }
        return json.dumps(fields, indent=2) + "\n"


def cloud_settings(
    name: str = DEFAULT_NAME,
    port: int = DEFAULT_PORT,
    subnet: str = DEFAULT_SUBNET,
    state_dir: Path | None = None,
    cache_dir: Path | None = None,
    registry_port: int = DEFAULT_REGISTRY_PORT,
) -> CloudSettings:
    """Return validated settings. Raises BadSettingError naming the invalid setting."""
    if not _NAME.fullmatch(name):
        raise BadSettingError(
            f"'{name}' cannot name a cloud.", "Use up to 20 of a-z, 0-9 and -, a letter first."
        )
    for what, number in (("port", port), ("registry port", registry_port)):
        if not 1 <= number <= 65535:
            raise BadSettingError(f"{what} {number} is not a TCP port.", "Use a number from 1 to 65535.")
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise BadSettingError(f"subnet {subnet}: {error}.", f"Write it like {DEFAULT_SUBNET}.") from error
    if not _LARGEST_SUBNET <= network.prefixlen <= _SMALLEST_SUBNET or not network.is_private:
        raise BadSettingError(
            f"subnet {subnet} cannot carry a cloud.",
            f"Use a private network with a prefix from /{_LARGEST_SUBNET} to /{_SMALLEST_SUBNET}.",
        )
    return CloudSettings(
        name=name,
        port=port,
        registry_port=registry_port,
        subnet=network,
        state_dir=(state_dir or REPO_ROOT / ".onebox" / "cloud" / name).absolute(),
        cache_dir=(cache_dir or REPO_ROOT / ".onebox" / "cache").absolute(),
    )


def settings_from_json(text: str) -> CloudSettings:
    """Return the settings that `CloudSettings.to_json` wrote."""
    fields = json.loads(text)
    return cloud_settings(
        fields["name"],
        fields["port"],
        fields["subnet"],
        Path(fields["state_dir"]),
        Path(fields["cache_dir"]),
        fields["registry_port"],
    )

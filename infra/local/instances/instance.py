"""An EC2 instance as a container: its files, its Docker commands, and doing them."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from infra.local.errors import DockerFailedError
from infra.local.private_file import write_private
from infra.local.settings import CLOUD_LABEL, INSTANCE_LABEL, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from infra.local.docker import Docker
    from infra.local.settings import CloudSettings

# systemd, a nested container engine and its networks need these. Not --privileged: that requires
# every capability, also those that this machine itself may not have.
CAPABILITIES: Final = (
    *(
        "AUDIT_CONTROL",
        "BLOCK_SUSPEND",
        "DAC_READ_SEARCH",
        "IPC_LOCK",
        "IPC_OWNER",
        "LEASE",
        "LINUX_IMMUTABLE",
    ),
    *("MKNOD", "NET_ADMIN", "NET_BROADCAST", "NET_RAW", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_NICE"),
    *("SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG"),
)
SEED_DIR: Final = "/var/lib/cloud/seed/nocloud"
CLOUD_DIR: Final = "/var/lib/local-cloud"
STOP_SECONDS: Final = 30
_CONSOLE_LIMIT: Final = 64 * 1024
# The second one is where systemd-resolved keeps the real servers when the first names only its loopback stub.
RESOLVERS: Final = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


@dataclass(frozen=True)
class Boot:
    """The launch data of an instance. `user_data` is raw bytes, `public_keys` OpenSSH lines by key pair name."""

    instance_id: str
    address: str
    user_data: bytes
    public_keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Network:
    """What of an instance's network may change while it runs: filter texts and elastic addresses."""

    filter_v4: str
    filter_v6: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Container:
    """The observed container of an instance. `started` changes with every start."""

    instance_id: str
    running: bool
    exit_code: int
    started: str


class Machine(Protocol):
    """What the reconciler may do to containers. Every method raises DockerFailedError."""

    def survey(self) -> dict[str, Container]:
        """Return all containers of this cloud, by instance id."""

    def create(self, boot: Boot, network: Network) -> None:
        """Boot a new instance; its filter is active before its first process listens."""

    def start(self, boot: Boot, network: Network) -> None:
        """Start a stopped instance, with the current user-data and rules."""

    def stop(self, instance_id: str) -> None:
        """Shut an instance down; its disk stays."""

    def restart(self, instance_id: str) -> None:
        """Shut down and boot again."""

    def remove(self, instance_id: str) -> None:
        """Remove container, volume and files; no error when they are gone."""

    def refresh(self, instance_id: str, network: Network) -> None:
        """Activate filter and addresses on a running instance."""

    def console(self, instance_id: str) -> str:
        """Return the latest boot log, at most 64 KiB of it."""


def hostname(address: str) -> str:
    """Return EC2's private host name of an address, without the domain."""
    return "ip-" + address.replace(".", "-")


def container_name(cloud: CloudSettings, instance_id: str) -> str:
    """Name of the instance's container, and of the volume that is its Docker's disk."""
    return f"onebox-{cloud.name}-{instance_id}"


def run_argv(cloud: CloudSettings, boot: Boot, image: str) -> list[str]:
    """Return the argv of `docker run` for an instance."""
    name = container_name(cloud, boot.instance_id)
    home = cloud.instance_dir(boot.instance_id)
    argv = ["run", "--detach", "--name", name, "--hostname", hostname(boot.address)]
    argv += ["--label", f"{CLOUD_LABEL}={cloud.name}", "--label", f"{INSTANCE_LABEL}={boot.instance_id}"]
    argv += ["--network", cloud.network, "--ip", boot.address]
    for capability in CAPABILITIES:
        argv += ["--cap-add", capability]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        argv += ["--security-opt", option]
    argv += ["--device-cgroup-rule", "a *:* rwm", "--cgroupns", "host"]
    argv += ["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"]  # noqa: S108 - inside the instance
    argv += ["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--volume", f"{name}:/var/lib/docker"]
    argv += ["--volume", f"{home / 'seed'}:{SEED_DIR}:ro", "--volume", f"{home / 'cloud'}:{CLOUD_DIR}:ro"]
    # Docker's own resolver (127.0.0.11) could not be passed on to the containers of the nested Docker.
    argv += ["--volume", f"{home / 'resolv.conf'}:/etc/resolv.conf"]
    return [*argv, "--stop-timeout", str(STOP_SECONDS), "--env", "container=docker", image]


def survey_argv(cloud: CloudSettings) -> list[str]:
    """Return the argv of `docker ps` for the ids of all containers of this cloud."""
    return ["ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={CLOUD_LABEL}={cloud.name}"]


def inspect_argv(ids: Iterable[str]) -> list[str]:
    """Return the argv of `docker inspect`: one JSON line for each container id, see `read_survey`."""
    label = f'{{{{json (index .Config.Labels "{INSTANCE_LABEL}")}}}}'
    state = "{{.State.Running}},{{.State.ExitCode}},{{json .State.StartedAt}}"
    return ["inspect", "--type", "container", "--format", f"[{label},{state}]", *ids]


def read_survey(text: str) -> dict[str, Container]:
    """Return the containers by instance id, from the output of `inspect_argv`."""
    found = (Container(*json.loads(line)) for line in text.splitlines() if line.strip())
    return {container.instance_id: container for container in found}


def meta_data(boot: Boot) -> str:
    """Return the NoCloud meta-data (JSON is YAML)."""
    facts = {
        "instance-id": boot.instance_id,
        "local-hostname": f"{hostname(boot.address)}.{REGION}.compute.internal",
        "public-keys": [key for _, key in boot.public_keys],
    }
    return json.dumps(facts, indent=2) + "\n"


def reachable_nameservers(resolver: str) -> str:
    """Return the lines of a resolv.conf that work inside an instance: no loopback name server."""
    kept = []
    for line in resolver.splitlines():
        server = re.match(r"nameserver\s+(\S+)", line)
        if server:
            address = ipaddress.ip_address(server.group(1).split("%")[0])
            if address.is_loopback or not isinstance(address, ipaddress.IPv4Address):
                continue
        if server or re.match(r"(search|domain|options)\s", line):
            kept.append(line)
    return "\n".join(kept) + "\n"


def instance_resolver(sources: Iterable[Path] = RESOLVERS) -> str:
    """Return an instance's resolv.conf: the machine's first one that names a server an instance can reach."""
    texts = [reachable_nameservers(source.read_text()) for source in sources if source.exists()]
    return next((text for text in texts if "nameserver" in text), "")


class DockerMachine:
    """The Machine that Docker is."""

    def __init__(self, cloud: CloudSettings, docker: Docker, image: str, log: Callable[[str], None]) -> None:
        self._cloud = cloud
        self._docker = docker
        self._image = image
        self._log = log

    def survey(self) -> dict[str, Container]:
        ids = self._docker.run(survey_argv(self._cloud)).split()
        return read_survey(self._docker.run(inspect_argv(ids))) if ids else {}

    def create(self, boot: Boot, network: Network) -> None:
        began = time.monotonic()
        self.remove(boot.instance_id)
        self._write_files(boot, network)
        self._docker.run(run_argv(self._cloud, boot, self._image))
        self._log(f"{boot.instance_id}: booted at {boot.address} in {time.monotonic() - began:.1f} s")

    def start(self, boot: Boot, network: Network) -> None:
        self._write_files(boot, network)
        self._docker.run(["start", self._name(boot.instance_id)])
        self._log(f"{boot.instance_id}: started")

    def stop(self, instance_id: str) -> None:
        self._keep_console(instance_id)
        self._docker.run(["stop", self._name(instance_id)], timeout=STOP_SECONDS + 60)
        self._log(f"{instance_id}: stopped")

    def restart(self, instance_id: str) -> None:
        self._docker.run(["restart", self._name(instance_id)], timeout=STOP_SECONDS + 60)
        self._log(f"{instance_id}: restarted")

    def remove(self, instance_id: str) -> None:
        name = self._name(instance_id)
        self._docker.run(["rm", "--force", "--volumes", name])
        self._docker.run(["volume", "rm", "--force", name])
        shutil.rmtree(self._cloud.instance_dir(instance_id), ignore_errors=True)
        self._log(f"{instance_id}: removed")

    def refresh(self, instance_id: str, network: Network) -> None:
        self._write_network(instance_id, network)
        self._docker.run(["exec", self._name(instance_id), "/usr/local/sbin/instance-refresh"])

    def console(self, instance_id: str) -> str:
        self._keep_console(instance_id)
        kept = self._console_file(instance_id)
        return kept.read_text(errors="replace") if kept.exists() else ""

    def _name(self, instance_id: str) -> str:
        return container_name(self._cloud, instance_id)

    def _console_file(self, instance_id: str) -> Path:
        return self._cloud.instance_dir(instance_id) / "console.log"

    def _keep_console(self, instance_id: str) -> None:
        script = "journalctl --boot --no-pager --no-hostname --quiet; cat /var/log/cloud-init-output.log"
        try:
            log = self._docker.run(["exec", self._name(instance_id), "sh", "-c", script])
        except DockerFailedError:
            return  # not running: what was kept at its last stop is its latest console
        write_private(self._console_file(instance_id), log[-_CONSOLE_LIMIT:])

    def _write_files(self, boot: Boot, network: Network) -> None:
        home = self._cloud.instance_dir(boot.instance_id)
        for directory in (home / "seed", home / "cloud"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(home / "seed" / "meta-data", meta_data(boot))
        write_private(home / "seed" / "user-data", boot.user_data)
        # Written in place: the container sees this very file. Every user of the instance may read it.
        (home / "resolv.conf").write_text(instance_resolver())
        (home / "resolv.conf").chmod(0o644)
        self._write_network(boot.instance_id, network)

    def _write_network(self, instance_id: str, network: Network) -> None:
        directory = self._cloud.instance_dir(instance_id) / "cloud"
        prefix = self._cloud.subnet.prefixlen
        write_private(directory / "filter.v4", network.filter_v4)
        write_private(directory / "filter.v6", network.filter_v6)
        write_private(
            directory / "addresses", "".join(f"{address}/{prefix}\n" for address in network.addresses)
        )

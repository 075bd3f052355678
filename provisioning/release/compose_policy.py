"""Pure: which powers over the host a service of docker-compose.yml may have.

The root user of a container with such a power is root of the host. So each power is refused until the
service allows it by name: `x-onebox-allow: [cap_add]`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from provisioning.errors import ReleaseError
from provisioning.release.compose_yaml import Section

Requests = Callable[[Section], Iterator[str]]
"""What a section requests of one power over the host, as messages name it."""

ALLOW_KEY: Final = "x-onebox-allow"
SSH_PORT: Final = 22

_HOST_PATHS: Final = (
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run",
    "/sys",
    "/var/lib/docker",
    "/var/run",
)
_SOCKETS: Final = ("docker.sock", "containerd.sock", "podman.sock")
_IMAGE: Final = re.compile(r"(?:[^@]*/)?[^/:@]+(?::(?P<tag>[^/:@]+))?(?P<digest>@sha256:[0-9a-f]{64})?")
_WRITE_OUT: Final = "Write what it brings into docker-compose.yml itself."
_ONE_EACH: Final = "On one host each service is one container; describe a second one as a service of its own."
_NOT_CARRIED: Final[Mapping[str, str]] = {
    "include": _WRITE_OUT,
    "extends": _WRITE_OUT,
    "env_file": "Name the variables under `environment` and give their values in the stack's config.",
    "profiles": "Every service of the file is started; remove what should not run.",
    "scale": _ONE_EACH,
    "deploy": f"{_ONE_EACH} Limits have keys of their own: mem_limit, cpus, pids_limit.",
    "develop": "",
    "provider": "",
    "models": "",
}
# The keys of a service in the Compose Specification, without those above.
# fmt: off
_KEYS: Final = frozenset((
    "annotations", "attach", "blkio_config", "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent",
    "command", "configs", "container_name", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota",
    "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "credential_spec", "depends_on",
    "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname", "entrypoint",
    "environment", "expose", "external_links", "extra_hosts", "gpus", "group_add", "healthcheck",
    "hostname", "image", "init", "ipc", "isolation", "label_file", "labels", "links", "logging",
    "mac_address", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "network_mode",
    "networks", "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform", "ports",
    "post_start", "pre_stop", "privileged", "pull_policy", "read_only", "restart", "runtime", "secrets",
    "security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls",
    "tmpfs", "tty", "ulimits", "user", "userns_mode", "uts", "volumes", "volumes_from", "working_dir",
))
# fmt: on
_TOP: Final = frozenset(("name", "version", "services", "networks", "volumes", "secrets", "configs"))


def check_rules(document: Section) -> None:
    """Raise ReleaseError for the first key that a release cannot carry, and for the first power that is not allowed."""
    for key in document:
        if key not in _TOP and not str(key).startswith("x-"):
            raise _unknown(f"docker-compose.yml has {key}, which", str(key), _TOP)
    published: dict[tuple[str, str], str] = {}
    for name, section in document["services"].items():
        if not isinstance(section, dict):
            continue
        for key in section:
            if key not in _KEYS and not str(key).startswith("x-"):
                raise _unknown(f"service {name} has {key}, which", str(key), _KEYS)
        _refuse_powers(str(name), section)
        _refuse_moving_image(str(name), section)
        for port in _host_ports(section):
            if port == (str(SSH_PORT), "tcp"):
                raise ReleaseError(
                    f"service {name} publishes port {SSH_PORT}, where the host's own SSH listens"
                )
            if port in published:
                raise ReleaseError(
                    f"services {published[port]} and {name} both publish port {port[0]}/{port[1]}"
                )
            published[port] = str(name)


def _unknown(what: str, key: str, known: frozenset[str]) -> ReleaseError:
    if key in _NOT_CARRIED:
        return ReleaseError(f"{what} a release cannot contain", hint=_NOT_CARRIED[key])
    near = get_close_matches(key, known, 1)
    return ReleaseError(f"{what} Compose does not know", hint=f"Did you mean {near[0]}?" if near else "")


def _refuse_powers(name: str, section: Section) -> None:
    allowed = section.get(ALLOW_KEY) or []
    if not isinstance(allowed, list) or not set(map(str, allowed)) <= set(_POWERS):
        raise ReleaseError(f"service {name}: {ALLOW_KEY} is a list of {', '.join(sorted(_POWERS))}")
    for power, requests in _POWERS.items():
        for value in requests(section):
            if power not in allowed:
                raise ReleaseError(
                    f"service {name} has {value}, which gives the container privileges on the host",
                    hint=f"Remove it, or allow it by name: `{ALLOW_KEY}: [{power}]`.",
                )


def _is_on(key: str) -> Requests:
    def requests(section: Section) -> Iterator[str]:
        # A variable may become true on the host, so only a plain false is one.
        if section.get(key) not in (None, False, "false"):
            yield f"{key}: {str(section[key]).lower()}"

    return requests


def _is_host(key: str) -> Requests:
    def requests(section: Section) -> Iterator[str]:
        value = str(section.get(key) or "")
        if value == "host" or "$" in value:
            yield f"{key}: {value}"

    return requests


def _has_any(key: str) -> Requests:
    def requests(section: Section) -> Iterator[str]:
        if section.get(key):
            yield key

    return requests


def _unconfined(section: Section) -> Iterator[str]:
    for option in section.get("security_opt") or ():
        if re.search(r"unconfined|label[:=]disable|no-new-privileges[:=]false", str(option)):
            yield f"security_opt: {option}"


def _host_paths(section: Section) -> Iterator[str]:
    for volume in section.get("volumes") or ():
        source = str(volume.get("source", "")) if isinstance(volume, dict) else str(volume)
        # `${NAME:-/default}` counts as its default.
        source = re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", source).split(":")[0]
        if source.startswith("/"):
            path = posixpath.normpath(f"/{source.lstrip('/')}")
            below = any(path == own or path.startswith(f"{own}/") for own in _HOST_PATHS)
            if path == "/" or below or path.endswith(_SOCKETS):
                yield f"the host's {path}"


_POWERS: Final[Mapping[str, Requests]] = {
    "privileged": _is_on("privileged"),
    "cap_add": _has_any("cap_add"),
    "devices": _has_any("devices"),
    "device_cgroup_rules": _has_any("device_cgroup_rules"),
    "host_paths": _host_paths,
    "security_opt": _unconfined,
    "network_mode": _is_host("network_mode"),
    "pid": _is_host("pid"),
    "ipc": _is_host("ipc"),
    "uts": _is_host("uts"),
    "cgroup": _is_host("cgroup"),
    "userns_mode": _is_host("userns_mode"),
}


def _refuse_moving_image(name: str, section: Section) -> None:
    image = str(section.get("image") or "")
    if "build" in section or not image or "$" in image:
        return
    match = _IMAGE.fullmatch(image)
    if match is None or (not match["digest"] and (match["tag"] or "latest") == "latest"):
        raise ReleaseError(
            f"service {name} uses the image {image} without a fixed version",
            hint=f"Name a tag other than latest, or a digest: {image.split(':')[0]}@sha256:….",
        )


def _host_ports(section: Section) -> Iterator[tuple[str, str]]:
    """Yield port and protocol of each port that the service publishes on the host; a range gives each of its ports."""
    for entry in section.get("ports") or ():
        if isinstance(entry, dict):
            text, protocol = str(entry.get("published") or ""), str(entry.get("protocol") or "tcp")
        else:
            text, _, protocol = str(entry).partition("/")
            pieces = re.sub(r"\[[^]]*\]", "", text).split(":")
            text, protocol = (pieces[-2] if len(pieces) > 1 else ""), protocol or "tcp"
        first, _, last = text.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            for port in range(int(first), int(last or first) + 1):
                yield str(port), protocol

"""What a push needs to know, checked once when it is made."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from provisioning.errors import SettingsError

DEFAULT_REMOTE_ROOT = "/opt/onebox"
DEFAULT_PROJECT_NAME = "onebox"
DEFAULT_OPEN_PORTS = frozenset({22, 5000, 8501, 9090})

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_REMOTE_ROOT = re.compile(r"(/[A-Za-z0-9._-]+)+")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_TYPES = ("ssh-ed25519",)


@dataclass(frozen=True)
class Target:
    """The host, how to log in, and the one or two host keys (`ssh-ed25519 AAAA…`) that are trusted.

    Raises SettingsError naming the field when a value cannot be used.
    """

    host: str
    user: str
    private_key_file: Path
    host_keys: tuple[str, ...]
    port: int = 22

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise SettingsError(
                "host", f"host {self.host!r} is not an address or a host name", hint="Give the address alone."
            )
        if not _USER.fullmatch(self.user):
            raise SettingsError("user", f"user {self.user!r} is not a Linux user name")
        if not 1 <= self.port <= 65535:
            raise SettingsError("port", f"port {self.port} is not between 1 and 65535")
        keys = tuple(_host_key(key) for key in self.host_keys)
        if not 1 <= len(keys) <= 2:
            raise SettingsError("host_keys", f"one or two host keys are needed, {len(keys)} were given")
        object.__setattr__(self, "host_keys", keys)
        object.__setattr__(self, "private_key_file", Path(self.private_key_file).expanduser())
        _check_key_file(self.private_key_file)

    @property
    def address(self) -> str:
        """`host:port`, as messages show it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class PushSettings:
    """A target and what to bring onto it. Raises SettingsError naming the field."""

    target: Target
    project_root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    open_ports: frozenset[int] = DEFAULT_OPEN_PORTS
    """Ports that this machine is expected to reach; the others are asked through the SSH connection."""
    deadline_seconds: float = 900
    remote_root: str = DEFAULT_REMOTE_ROOT
    project_name: str = DEFAULT_PROJECT_NAME
    keep_releases: int = 5
    min_free_bytes: int = 1024**3
    wait_seconds: int = 120
    """How long one service may take to become healthy."""

    def __post_init__(self) -> None:
        if not (Path(self.project_root) / "docker-compose.yml").is_file():
            raise SettingsError("project_root", f"{self.project_root} has no docker-compose.yml")
        if not _REMOTE_ROOT.fullmatch(self.remote_root) or ".." in self.remote_root.split("/"):
            raise SettingsError(
                "remote_root", f"remote root {self.remote_root!r} is not a plain absolute path"
            )
        if not _PROJECT.fullmatch(self.project_name):
            raise SettingsError("project_name", f"{self.project_name!r} is not a compose project name")
        if not self.deadline_seconds > 0:
            raise SettingsError("deadline_seconds", f"deadline {self.deadline_seconds} is not above 0")
        if self.wait_seconds < 1:
            raise SettingsError("wait_seconds", f"wait {self.wait_seconds} is below 1 second")
        if self.keep_releases < 2:
            raise SettingsError(
                "keep_releases",
                f"keep_releases {self.keep_releases} would leave nothing to go back to",
                hint="Use 2 or more.",
            )
        object.__setattr__(self, "project_root", Path(self.project_root))
        object.__setattr__(self, "open_ports", frozenset(self.open_ports))
        object.__setattr__(self, "environment", MappingProxyType(_environment(self.environment)))


def _host_key(text: str) -> str:
    """The key as `type base64`, without a comment."""
    words = text.split()
    if len(words) < 2 or words[0] not in _KEY_TYPES:
        raise SettingsError(
            "host_keys", f"host key {text[:40]!r} is not a public key like 'ssh-ed25519 AAAA…'"
        )
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise SettingsError("host_keys", f"host key {text[:40]!r} is not valid base64") from error
    if not blob.startswith(len(words[0]).to_bytes(4, "big") + words[0].encode()):
        raise SettingsError("host_keys", f"host key {text[:40]!r} does not hold a {words[0]} key")
    return f"{words[0]} {words[1]}"


def _check_key_file(path: Path) -> None:
    name = "private_key_file"
    if not path.exists():
        raise SettingsError(name, f"the private key file {path} does not exist")
    if not path.is_file():
        raise SettingsError(name, f"the private key file {path} is not a regular file")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SettingsError(
            name,
            f"the private key file {path} can be read by others (mode {mode:04o})",
            hint=f"chmod 600 {path}",
        )
    if not os.access(path, os.R_OK):
        raise SettingsError(name, f"the private key file {path} cannot be read by this user")
    if path.suffix == ".pub":
        raise SettingsError(name, f"{path} is the public half", hint=f"Use {path.with_suffix('')}.")


def _environment(values: Mapping[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not _VARIABLE.fullmatch(name):
            raise SettingsError("environment", f"{name!r} is not the name of an environment variable")
        if not isinstance(value, str):
            raise SettingsError("environment", f"the value of {name} is not a string")
        if any(character in value for character in "\n\r\0'"):
            raise SettingsError("environment", f"the value of {name} holds a line break or a single quote")
    return dict(values)

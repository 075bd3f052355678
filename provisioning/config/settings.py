"""The settings of a push and the target of a connection, validated when they are made."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

from provisioning.config.keys import PUBLIC_KEY_TYPES
from provisioning.config.private_key import check_key_file
from provisioning.config.project import expand_user
from provisioning.config.secrets import NO_SECRETS, ServiceSecrets
from provisioning.config.service_facts import PUBLIC_PORTS
from provisioning.errors import SettingsError

SSH_PORT = 22
DEFAULT_REMOTE_ROOT = "/opt/onebox"
DEFAULT_PROJECT_NAME = "onebox"
DEFAULT_OPEN_PORTS = frozenset(PUBLIC_PORTS.values())

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_REMOTE_ROOT = re.compile(r"(/[A-Za-z0-9._-]+)+")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_TYPES = ("ssh-ed25519",)
_JUMP = re.compile(r"(?P<user>[^@]*)@(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Jump:
    """A jump host and the one host key that is accepted from it. Raises SettingsError."""

    host: str
    user: str
    host_key: str
    port: int = SSH_PORT

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", _address("ssh_jump", self.host))
        _check_login("ssh_jump", self.user, self.port)
        object.__setattr__(self, "host_key", _host_key("ssh_jump_host_key", self.host_key, PUBLIC_KEY_TYPES))

    @classmethod
    def parse(cls, text: str, host_key: str) -> Self:
        """Return the jump host of `user@host[:port]`, an IPv6 address in brackets. Raises SettingsError."""
        match = _JUMP.fullmatch(text)
        if match is None:
            raise SettingsError("ssh_jump", f"jump host {text!r} is not like user@host or user@host:port")
        if not host_key.strip():
            raise SettingsError(
                "ssh_jump_host_key",
                f"the host key of the jump host {match['host']} is not set",
                hint="Set onebox:sshJumpHostKey to the line that `ssh-keyscan` shows, after checking it.",
            )
        return cls(match["host"], match["user"], host_key, int(match["port"] or SSH_PORT))

    def __str__(self) -> str:
        return f"{self.user}@{self.address}"

    @property
    def address(self) -> str:
        """Return `host:port`, as messages show it."""
        return _with_port(self.host, self.port)

    @property
    def text(self) -> str:
        """Return `user@host[:port]`, as `parse` reads it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}" if self.port == SSH_PORT else str(self)


@dataclass(frozen=True)
class Target:
    """The host, its login, and the one or two host keys (`ssh-ed25519 AAAA…`) that are accepted.

    Raises SettingsError naming the field when a value cannot be used.
    """

    host: str
    user: str
    private_key_file: Path | None
    """None: the key is in the ssh-agent."""
    host_keys: tuple[str, ...]
    port: int = SSH_PORT
    passphrase: str | None = field(default=None, repr=False, compare=False)
    login_key: str = ""
    """Public half (`type base64`) of the agent's key to use; empty: whichever of its keys is accepted."""
    jump: Jump | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", _address("host", self.host))
        _check_login("", self.user, self.port)
        keys = tuple(_host_key("host_keys", key, _KEY_TYPES) for key in self.host_keys)
        if not 1 <= len(keys) <= 2:
            raise SettingsError("host_keys", f"one or two host keys are needed, {len(keys)} were given")
        object.__setattr__(self, "host_keys", keys)
        if self.private_key_file is not None:
            object.__setattr__(self, "private_key_file", expand_user(self.private_key_file))
            check_key_file(self.private_key_file)

    @property
    def address(self) -> str:
        """Return `host:port`, as messages show it."""
        return _with_port(self.host, self.port)


@dataclass(frozen=True)
class PushSettings:
    """A target, and the project to push to it. Raises SettingsError naming the field."""

    target: Target
    project_root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    open_ports: frozenset[int] = DEFAULT_OPEN_PORTS
    """Ports that this machine reaches directly; the smoke test reaches the others through the SSH connection."""
    deadline_seconds: float = 900
    remote_root: str = DEFAULT_REMOTE_ROOT
    project_name: str = DEFAULT_PROJECT_NAME
    keep_releases: int = 5
    min_free_bytes: int = 1024**3
    wait_seconds: int = 120
    """Timeout for one service to become healthy."""
    secrets: ServiceSecrets = NO_SECRETS
    """Values that the services read as files; no output holds them."""
    lock_wait_seconds: float = 0
    """Timeout for a lock that another push holds."""

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
        if not self.lock_wait_seconds >= 0:
            raise SettingsError("lock_wait_seconds", f"lock wait {self.lock_wait_seconds} is below 0")
        if self.wait_seconds < 1:
            raise SettingsError("wait_seconds", f"wait {self.wait_seconds} is below 1 second")
        if self.keep_releases < 2:
            raise SettingsError(
                "keep_releases",
                f"keep_releases {self.keep_releases} would leave no release for a rollback",
                hint="Use 2 or more.",
            )
        object.__setattr__(self, "project_root", Path(self.project_root))
        object.__setattr__(self, "open_ports", frozenset(self.open_ports))
        object.__setattr__(self, "environment", MappingProxyType(_environment(self.environment)))

    @classmethod
    def of_stack(
        cls,
        target: Target,
        project_root: Path,
        environment: Mapping[str, str],
        open_ports: Iterable[float],
        secrets: Mapping[str, str],
        digest_key: str,
    ) -> Self:
        """Return the settings of a push to a stack's host, from values as the engine keeps them."""
        return cls(
            target=target,
            project_root=project_root,
            environment=environment,
            open_ports=frozenset(map(int, open_ports)),
            secrets=ServiceSecrets(secrets, digest_key),
        )


def _address(name: str, text: str) -> str:
    """Return a host name or an address, an IPv6 address without its brackets. Raises SettingsError."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host or host != text:
        try:
            return str(ipaddress.IPv6Address(host)) if "%" not in host else _refuse_host(name, text)
        except ValueError:
            _refuse_host(name, text)
    return host if _HOST.fullmatch(host) else _refuse_host(name, text)


def _refuse_host(name: str, text: str) -> str:
    hint = "Use the address alone: without user, port or options."
    raise SettingsError(name, f"host {text!r} is not an address or a host name", hint=hint)


def _check_login(name: str, user: str, port: int) -> None:
    if not _USER.fullmatch(user):
        raise SettingsError(name or "user", f"user {user!r} is not a Linux user name")
    if not 1 <= port <= 65535:
        raise SettingsError(name or "port", f"port {port} is not between 1 and 65535")


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host_key(name: str, text: str, types: tuple[str, ...]) -> str:
    """Return the key as `type base64`, without its comment. Raises SettingsError."""
    fields = text.split()
    if len(fields) < 2:
        raise SettingsError(name, f"host key {text[:40]!r} is not a public key like 'ssh-ed25519 AAAA…'")
    if fields[0] not in types:
        raise SettingsError(
            name, f"host key {text[:40]!r} is not a public key of a kind that is trusted: {', '.join(types)}"
        )
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except binascii.Error as error:
        raise SettingsError(name, f"host key {text[:40]!r} is not valid base64") from error
    if not blob.startswith(len(fields[0]).to_bytes(4, "big") + fields[0].encode()):
        raise SettingsError(name, f"host key {text[:40]!r} does not hold a {fields[0]} key")
    return f"{fields[0]} {fields[1]}"


def _environment(values: Mapping[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not _VARIABLE.fullmatch(name):
            raise SettingsError("environment", f"{name!r} is not the name of an environment variable")
        if not isinstance(value, str):
            raise SettingsError("environment", f"the value of {name} is not a string")
        if any(character in value for character in "\n\r\0'"):
            raise SettingsError("environment", f"the value of {name} holds a line break or a single quote")
    return dict(values)

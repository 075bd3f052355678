"""Pure: the command that opens a shell on the host with the system's ssh, trusting one key and nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path

from provisioning.config.login import Login
from provisioning.config.settings import SSH_PORT, Jump, Target


def ssh_argv(login: Login | Target, host: str, host_key: str, port: int = SSH_PORT) -> list[str]:
    """Return the argv of ssh. The command itself pins the host key: no known_hosts file is read or written.

    Without a key file ssh offers the ssh-agent's keys. A jump host is pinned to its own key in the same way.
    """
    key_file, jump = login.private_key_file, login.jump
    return [
        "ssh",
        *_options(key_file, f"/bin/echo %H {host_key}"),
        *(["-o", f"ProxyCommand={_proxy(key_file, jump)}"] if jump else []),
        *([] if port == SSH_PORT else ["-p", str(port)]),
        f"{login.user}@{host}",
    ]


def _options(private_key_file: Path | None, known_hosts_command: str) -> list[str]:
    key = ["-i", str(private_key_file), "-o", "IdentitiesOnly=yes"] if private_key_file else []
    return [
        *key,
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        f"KnownHostsCommand={known_hosts_command}",
    ]


def _proxy(private_key_file: Path | None, jump: Jump) -> str:
    """Return the command that goes through the jump host. ssh expands it once more, so percent signs are doubled."""
    key_file = Path(str(private_key_file).replace("%", "%%")) if private_key_file else None
    options = _options(key_file, f"/bin/echo %%H {jump.host_key}")
    return shlex.join(["ssh", *options, "-p", str(jump.port), f"{jump.user}@{jump.host}"]) + " -W %h:%p"

"""Pure: the line that opens a shell on the host with the system's ssh, trusting one key and nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path

from provisioning.config.settings import Jump


def ssh_argv(
    host: str,
    user: str,
    private_key_file: Path | str | None,
    host_key: str,
    port: int = 22,
    jump: Jump | None = None,
) -> list[str]:
    """The argv of ssh. The trusted key is in the command itself, so no known_hosts file is read or written.

    Without a key file the ssh-agent's keys are used. A jump host is pinned to its own key in the same way.
    """
    return [
        "ssh",
        *_options(private_key_file, f"/bin/echo %H {host_key}"),
        *(["-o", f"ProxyCommand={_proxy(private_key_file, jump)}"] if jump else []),
        *([] if port == 22 else ["-p", str(port)]),
        f"{user}@{host}",
    ]


def ssh_line(
    host: str,
    user: str,
    private_key_file: Path | str | None,
    host_key: str,
    port: int = 22,
    jump: Jump | None = None,
) -> str:
    """The same as one line for a shell."""
    return shlex.join(ssh_argv(host, user, private_key_file, host_key, port, jump))


def _options(private_key_file: Path | str | None, known_hosts_command: str) -> list[str]:
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


def _proxy(private_key_file: Path | str | None, jump: Jump) -> str:
    """The way through the jump host. ssh expands it once more, so its own percent signs are doubled."""
    key_file = str(private_key_file).replace("%", "%%") if private_key_file else None
    options = _options(key_file, f"/bin/echo %%H {jump.host_key}")
    return shlex.join(["ssh", *options, "-p", str(jump.port), f"{jump.user}@{jump.host}"]) + " -W %h:%p"

"""Pure: the line that opens a shell on the host with the system's ssh, trusting one key and nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path


def ssh_argv(host: str, user: str, private_key_file: Path | str, host_key: str, port: int = 22) -> list[str]:
    """The argv of ssh. The trusted key is in the command itself, so no known_hosts file is read or written."""
    return [
        "ssh",
        "-i",
        str(private_key_file),
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        f"KnownHostsCommand=/bin/echo %H {host_key}",
        *([] if port == 22 else ["-p", str(port)]),
        f"{user}@{host}",
    ]


def ssh_line(host: str, user: str, private_key_file: Path | str, host_key: str, port: int = 22) -> str:
    """The same as one line for a shell."""
    return shlex.join(ssh_argv(host, user, private_key_file, host_key, port))

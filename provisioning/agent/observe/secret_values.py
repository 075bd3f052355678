"""Read the values of all secrets on the host. Each file belongs to the user of its service, so root reads it."""

from __future__ import annotations

import os
import subprocess

from provisioning.agent.observe.messages import ReadSecretValues, SecretValues
from provisioning.agent.protocol import Refused

COMMAND_SECONDS = 20


def handle(request: ReadSecretValues) -> SecretValues:
    """Return the values. Raises Refused when one cannot be read."""
    home = os.path.join(request.root, "secrets")
    values: list[str] = []
    for folder in sorted(os.listdir(home)) if os.path.isdir(home) else []:
        for name in sorted(os.listdir(os.path.join(home, folder))):
            if name != "index.json":
                values.append(_read(os.path.join(home, folder, name)))
    return SecretValues(tuple(values))


def _read(path: str) -> str:
    done = subprocess.run(
        ["sudo", "-n", "cat", "--", path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip()
        raise Refused(
            f"the secret {os.path.basename(path)} cannot be read, so it cannot be redacted: {reason}"
        )
    return done.stdout.decode("utf-8", "replace")

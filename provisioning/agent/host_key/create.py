"""Create the host's own ed25519 key."""

from __future__ import annotations

import os
import subprocess

from provisioning.agent.host_key.messages import CreateHostKey, PublicKey
from provisioning.agent.host_key.paths import key_path


def handle(request: CreateHostKey) -> PublicKey:
    """Return the public half of the key. Idempotent."""
    key = key_path(request.root)
    os.umask(0o077)
    os.makedirs(os.path.dirname(key), mode=0o700, exist_ok=True)
    os.chmod(os.path.dirname(key), 0o700)
    if not _public_half(key):
        # It has its name only when it is whole: a crash leaves no half key.
        fresh = f"{key}.{os.getpid()}"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "onebox", "-f", fresh], check=True
        )
        os.unlink(f"{fresh}.pub")
        os.sync()
        os.replace(fresh, key)
    return PublicKey(_public_half(key))


def _public_half(path: str) -> str:
    """Return the public half of a private key; empty for a file that is none."""
    done = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", path], capture_output=True, text=True, check=False
    )
    return " ".join(done.stdout.split()[:2]) if done.returncode == 0 else ""

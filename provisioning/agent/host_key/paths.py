"""The path of the host's own key."""

from __future__ import annotations

import os


def key_path(root: str) -> str:
    """Return the path of the private key. `root` is the directory that contains /etc."""
    return os.path.join(root, "etc/ssh/onebox/host_ed25519")

"""Public keys as people compare them."""

from __future__ import annotations

import base64
import hashlib


def fingerprint(key: str) -> str:
    """Return `SHA256:…` of a public key given as `type base64`, as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

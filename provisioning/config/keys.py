"""Public keys: the types that are accepted, and the fingerprint that people compare."""

from __future__ import annotations

import base64
import hashlib

PUBLIC_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
"""Types of a login key and of a jump host's key. DSA is not among them."""


def fingerprint(key: str) -> str:
    """Return `SHA256:…` of a public key given as `type base64`, as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

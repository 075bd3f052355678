"""Files on the host: hashes, atomic writes, symbolic links."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Optional

from provisioning.agent.codec import parse


def sha256_of(path: str) -> Optional[str]:
    """Return the SHA-256 of a file in hex; None for one that cannot be read or is a symbolic link."""
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        while chunk := os.read(descriptor, 1 << 20):
            digest.update(chunk)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def read_json(path: str) -> Any:
    """Return the JSON value in a file; None when it cannot be read or is not JSON."""
    try:
        with open(path, "rb") as file:
            return parse(file.read())
    except (OSError, ValueError):
        return None


def write_text(path: str, text: str, mode: int = 0o600, *, durable: bool = False) -> None:
    """Replace a file by this text, atomically; with `durable` it is on disk before it has its name."""
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fchmod(descriptor, mode)
        if durable:
            os.fsync(descriptor)
    os.replace(path + ".new", path)


def link_target(path: str) -> str:
    """Return the target of a symbolic link; empty when there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def current_release(root: str) -> str:
    """Return the digest of the release that `current` points to; empty when there is none."""
    return os.path.basename(link_target(os.path.join(root, "current")))

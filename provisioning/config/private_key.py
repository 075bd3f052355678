"""The format of a private key file, read from its text: no key is loaded, no error holds any of it."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path

from provisioning.errors import SettingsError

_FIELD = "private_key_file"
_PUBLIC = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "-----BEGIN PUBLIC", "---- BEGIN SSH2 PUBLIC")
_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"


def check_key_file(path: Path) -> None:
    """Raise SettingsError unless the file is a private key that only this user can read."""
    if not path.exists():
        raise SettingsError(_FIELD, f"the private key file {path} does not exist")
    if not path.is_file():
        raise SettingsError(_FIELD, f"the private key file {path} is not a regular file")
    if not os.access(path, os.R_OK):
        raise SettingsError(_FIELD, f"the private key file {path} cannot be read by this user")
    text = _text(path)
    if path.suffix == ".pub" or text.startswith(_PUBLIC):
        hint = f"Use {path.with_suffix('')}." if path.suffix == ".pub" else "Use the private key."
        raise SettingsError(_FIELD, f"{path} is the public key", hint=hint)
    if text.startswith("PuTTY-User-Key-File"):
        raise SettingsError(
            _FIELD,
            f"{path} is a key in PuTTY's format",
            hint=f"Convert it: puttygen {path} -O private-openssh-new -o {path.with_suffix('')}",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SettingsError(
            _FIELD,
            f"the private key file {path} can be read by others (mode {mode:04o})",
            hint=f"chmod 600 {path}",
        )


def is_encrypted(path: Path) -> bool:
    """Return whether the key needs a passphrase."""
    text = _text(path)
    if not text.startswith(_OPENSSH):
        return "ENCRYPTED" in text[:400]
    body = "".join(text.removeprefix(_OPENSSH).split("-----END")[0].split())
    try:
        blob = base64.b64decode(body)
    except binascii.Error:
        return False
    # After the magic: the length of the cipher's name, and the name (PROTOCOL.key of OpenSSH).
    return blob.startswith(_MAGIC) and blob[len(_MAGIC) + 4 :][:4] != b"none"


def _text(path: Path) -> str:
    return path.read_bytes()[:65536].decode("latin-1").lstrip()

"""SSH keys: the files that the configuration names, and a new host key pair."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning.config.keys import PUBLIC_KEY_TYPES


class KeyFileError(ValueError):
    """A key file cannot be used; `setting` is the config key that names it."""

    def __init__(self, setting: str, sentence: str) -> None:
        self.setting = setting
        super().__init__(sentence)


class HostKeyPair(NamedTuple):
    """An ed25519 pair for sshd: the private half as OpenSSH PEM, the public half as `ssh-ed25519 AAAA…`."""

    private: str
    public: str


def new_host_key() -> HostKeyPair:
    """Return a new pair from the operating system's randomness."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return HostKeyPair(private.decode(), public.decode())


def read_public_key(path: Path) -> str:
    """Return the key of an OpenSSH public key file as `type base64`, without its comment. Raises KeyFileError."""
    setting = "sshPublicKeyFile"
    if not path.is_file():
        raise KeyFileError(setting, f"there is no file {path}; create a pair with: ssh-keygen -t ed25519")
    text = path.read_text(errors="replace").strip()
    if "PRIVATE KEY" in text:
        raise KeyFileError(
            setting, f"{path} is a private key; the public key is required, probably {path.name}.pub"
        )
    fields = text.split()
    if len(fields) < 2 or fields[0] not in PUBLIC_KEY_TYPES:
        raise KeyFileError(setting, f"{path} is not an OpenSSH public key (one line: ssh-ed25519 AAAA…)")
    try:
        serialization.load_ssh_public_key(f"{fields[0]} {fields[1]}".encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(setting, f"{path} is not an OpenSSH public key ({error})") from error
    return f"{fields[0]} {fields[1]}"


def check_private_key_file(path: Path) -> None:
    """Raise KeyFileError unless the file can be the login key. The error never holds its content."""
    setting = "sshPrivateKeyFile"
    if not path.is_file():
        raise KeyFileError(setting, f"there is no file {path}; create a pair with: ssh-keygen -t ed25519")
    if path.stat().st_mode & 0o077:
        raise KeyFileError(setting, f"{path} can be read by others; run: chmod 600 {path}")
    if "PRIVATE KEY" not in path.read_text(errors="replace"):
        raise KeyFileError(setting, f"{path} is not a private key in OpenSSH or PEM form")

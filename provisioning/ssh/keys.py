"""The login key: from a file, with or without a passphrase, or from the ssh-agent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko

from provisioning.config.keys import fingerprint
from provisioning.config.private_key import is_encrypted
from provisioning.config.settings import Target
from provisioning.errors import SettingsError

SMALLEST_RSA = 3072
# sshd ends a login after six keys, and the one that counts would not be asked for any more.
_MOST_AGENT_KEYS = 5


@contextmanager
def login_keys(target: Target) -> Iterator[tuple[Sequence[paramiko.PKey], str]]:
    """Yield the keys to try, and their name in messages; the ssh-agent stays open while the block runs.

    These are the file's key if a file is configured; else the agent's key that is `target.login_key`, or without
    one the agent's first five. Raises SettingsError when no key can be used.
    """
    if target.private_key_file is not None:
        yield (load_private_key(target.private_key_file, target.passphrase),), str(target.private_key_file)
        return
    agent = paramiko.Agent()
    try:
        keys = _usable_agent_keys(agent, target.login_key)
        yield keys, f"{', '.join(map(_fingerprint_of, keys))} of the ssh-agent"
    finally:
        agent.close()


def load_private_key(path: Path, passphrase: str | None = None) -> paramiko.PKey:
    """Return the private key in a file: Ed25519, ECDSA, or RSA of 3072 bits and more.

    Raises SettingsError when it is none of these, or is encrypted and the passphrase does not open it.
    """
    name = "private_key_file"
    # The same passphrase may be set for several stacks, so one that is not needed is no mistake.
    encrypted = is_encrypted(path)
    if encrypted and not passphrase:
        raise SettingsError(
            name,
            f"the private key {path} is encrypted and no passphrase was given",
            hint="Set ONEBOX_SSH_PASSPHRASE, or add the key to an ssh-agent and leave sshPrivateKeyFile out.",
        )
    try:
        # Typed as text, but what reads it underneath takes bytes only.
        secret: Any = passphrase.encode() if encrypted and passphrase else None
        key = paramiko.PKey.from_path(path, secret)
    except paramiko.pkey.UnknownKeyType as error:
        raise SettingsError(
            name,
            f"{path} is a key of a type that is no longer supported",
            hint="Create an Ed25519 key: ssh-keygen -t ed25519",
        ) from error
    except (paramiko.SSHException, ValueError, OSError) as error:
        if encrypted:
            raise SettingsError(name, f"the passphrase does not open the private key {path}") from error
        raise SettingsError(name, f"{path} is not a private key that can be used") from error
    if _is_weak(key):
        raise SettingsError(
            name,
            f"{path} is an RSA key of {key.get_bits()} bits; at least {SMALLEST_RSA} are required",
            hint="Create an Ed25519 key: ssh-keygen -t ed25519",
        )
    return key


def _usable_agent_keys(agent: paramiko.Agent, wanted: str) -> list[paramiko.PKey]:
    held = [key for key in agent.get_keys() if not _is_weak(key)]
    if wanted:
        found = [key for key in held if f"{key.get_name()} {key.get_base64()}" == wanted]
        missing = f"the ssh-agent does not hold the key {fingerprint(wanted)}"
    else:
        found, missing = held[:_MOST_AGENT_KEYS], "no ssh-agent with a usable key was found"
    if not found:
        raise SettingsError(
            "private_key_file",
            f"no private key file is set, and {missing}",
            hint="Add it with `ssh-add FILE`, or set onebox:sshPrivateKeyFile.",
        )
    return list(found)


def _is_weak(key: paramiko.PKey) -> bool:
    return key.get_name() == "ssh-rsa" and key.get_bits() < SMALLEST_RSA


def _fingerprint_of(key: paramiko.PKey) -> str:
    return fingerprint(f"{key.get_name()} {key.get_base64()}")

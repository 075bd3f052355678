"""The passphrase of the login key: from the environment, or asked for on a terminal."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from provisioning.config.private_key import is_encrypted

VARIABLE = "ONEBOX_SSH_PASSPHRASE"

Ask = Callable[[str], str]


def read_passphrase(
    key_file: Path | None, environment: Mapping[str, str] | None = None, ask: Ask | None = None
) -> str | None:
    """The passphrase for a key file that needs one; None where none is needed, set or can be asked for.

    Without arguments it looks into this process's environment, and asks where both ends are a terminal.
    """
    if key_file is None or not key_file.is_file() or not is_encrypted(key_file):
        return None
    given = (os.environ if environment is None else environment).get(VARIABLE)
    if given:
        return given
    if ask is None and sys.stdin.isatty() and sys.stderr.isatty():
        ask = _ask_on_terminal
    return ask(f"Passphrase of {key_file}: ") or None if ask else None


def _ask_on_terminal(question: str) -> str:
    return getpass.getpass(question, stream=sys.stderr)

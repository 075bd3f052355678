"""The passphrase of the login key, from the environment or a prompt."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from provisioning.config.private_key import is_encrypted

VARIABLE = "ONEBOX_SSH_PASSPHRASE"

Prompt = Callable[[str], str]


def read_passphrase(
    key_file: Path | None, environment: Mapping[str, str] | None = None, prompt: Prompt | None = None
) -> str | None:
    """Return the passphrase of an encrypted key file; None where none is needed, set or can be entered.

    Reads `environment` (None: this process's), else prompts; without `prompt` only on a terminal.
    """
    if key_file is None or not key_file.is_file() or not is_encrypted(key_file):
        return None
    configured = (os.environ if environment is None else environment).get(VARIABLE)
    if configured:
        return configured
    if prompt is None and sys.stdin.isatty() and sys.stderr.isatty():
        prompt = _prompt_on_terminal
    return prompt(f"Passphrase of {key_file}: ") or None if prompt else None


def _prompt_on_terminal(question: str) -> str:
    return getpass.getpass(question, stream=sys.stderr)

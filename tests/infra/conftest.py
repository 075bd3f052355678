"""Settings as a stack's configuration gives them, with a real key pair on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.keys import new_host_key
from infra.settings import StackSettings

Configure = Callable[..., StackSettings]


@pytest.fixture
def key_files(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key file, as ssh-keygen leaves them."""
    pair = new_host_key()
    private, public = tmp_path / "id_ed25519", tmp_path / "id_ed25519.pub"
    private.write_text(pair.private)
    private.chmod(0o600)
    public.write_text(f"{pair.public} me@laptop\n")
    return private, public


@pytest.fixture
def config(key_files: tuple[Path, Path]) -> dict[str, str]:
    """The least configuration that a stack needs, as the engine hands it over."""
    private, public = key_files
    return {
        "aws:region": "eu-central-1",
        "onebox:sshCidrs": '["203.0.113.7/32"]',
        "onebox:sshPublicKeyFile": str(public),
        "onebox:sshPrivateKeyFile": str(private),
    }


@pytest.fixture
def configure(config: dict[str, str], tmp_path: Path) -> Configure:
    """configure(instanceType="t3.large") -> the settings with these values on top of the least ones."""

    def build(values: Mapping[str, Any] | None = None, **more: Any) -> StackSettings:
        told = {
            f"onebox:{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in {**(values or {}), **more}.items()
        }
        return StackSettings.from_config({**config, **told}, tmp_path)

    return build

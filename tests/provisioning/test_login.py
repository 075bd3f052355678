"""Login data: one value, from properties, outputs or configuration to the target of a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning.config.login import Login
from provisioning.errors import SettingsError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.mark.parametrize(
    "values",
    [
        {"user": "admin"},
        {"user": "admin", "private_key_file": "keys/id", "public_key": KEY},
        {"user": "admin", "jump": "me@jump.example", "jump_host_key": KEY},
        {"user": "admin", "jump": "me@[2001:db8::1]:2222", "jump_host_key": KEY},
        {"user": "admin", "jump": "me@[2001:db8::1]", "jump_host_key": KEY},
    ],
)
@pytest.mark.parametrize("prefix", ["", "ssh_"])
def test_the_text_of_a_login_makes_the_same_login(values: dict[str, Any], prefix: str) -> None:
    login = Login.of(values)

    text = login.properties(prefix)

    assert {name: value for name, value in text.items() if value} == {
        prefix + name: value for name, value in values.items()
    }
    assert Login.of(text, prefix) == login


def test_a_relative_key_file_starts_at_the_projects_root(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("key")
    (tmp_path / "id").chmod(0o600)

    target = Login("admin", Path("id"), KEY).target("192.0.2.7", (KEY,), tmp_path)

    assert target.private_key_file == tmp_path / "id"
    assert (target.host, target.user, target.host_keys, target.login_key) == (
        "192.0.2.7",
        "admin",
        (KEY,),
        KEY,
    )


def test_a_host_key_without_a_jump_host_is_refused() -> None:
    with pytest.raises(SettingsError, match="there is no sshJump"):
        Login.of({"user": "admin", "jump_host_key": KEY})

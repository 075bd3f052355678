"""Values that cannot be used are refused before anything is connected to."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from provisioning.config.login import Login
from provisioning.config.settings import PushSettings, Target
from provisioning.errors import SettingsError
from provisioning.ssh.openssh import ssh_argv

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    key = tmp_path / "key"
    key.write_text("key")
    key.chmod(0o600)
    return {"host": "192.0.2.7", "user": "admin", "private_key_file": key, "host_keys": (f"{KEY} comment",)}


@pytest.mark.parametrize("host", ["192.0.2.7", "host.example", "2001:db8::1", "localhost"])
def test_an_address_or_a_name_is_a_host(values: dict[str, Any], host: str) -> None:
    assert Target(**{**values, "host": host}).host_keys == (KEY,)


def test_an_ipv6_address_may_stand_in_brackets(values: dict[str, Any]) -> None:
    target = Target(**{**values, "host": "[2001:db8::1]"})

    assert (target.host, target.address) == ("2001:db8::1", "[2001:db8::1]:22")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        *(
            ("host", host, "is not an address")
            for host in (
                *("", "-oProxyCommand=id", "a b", "a;id", "$(id)", "`id`", "a\n", "u@h", "u@", "h:22"),
                *(
                    "abc:22",
                    "1.2.3.4:22",
                    "[1.2.3.4]",
                    "[2001:db8::1]:22",
                    "fe80::1%eth0",
                    "[::1",
                    "a/b",
                    "h.",
                ),
            )
        ),
        *(("user", user, "is not a Linux user") for user in ("", "-l", "a b", "Admin", "a;id", "a" * 40)),
        ("port", 0, "between 1 and 65535"),
        ("host_keys", (), "one or two host keys"),
        ("host_keys", (KEY, KEY, KEY), "one or two host keys"),
        ("host_keys", ("",), "is not a public key"),
        ("host_keys", ("ssh-rsa AAAA",), "is not a public key"),
        ("host_keys", ("ssh-ed25519 !!!",), "is not valid base64"),
        ("host_keys", ("ssh-ed25519 AAAA",), "does not hold a ssh-ed25519 key"),
        ("private_key_file", Path("/nowhere/key"), "does not exist"),
        ("private_key_file", Path("/"), "is not a regular file"),
    ],
)
def test_a_wrong_value_is_refused_and_named(
    values: dict[str, Any], name: str, value: Any, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        Target(**{**values, name: value})

    assert (caught.value.field, caught.value.exit_code) == (name, 2)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_file_that_others_can_read_is_refused_with_the_cure(values: dict[str, Any], mode: int) -> None:
    values["private_key_file"].chmod(mode)

    with pytest.raises(SettingsError, match="can be read by others") as caught:
        Target(**values)

    assert caught.value.hint == f"chmod 600 {values['private_key_file']}"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"remote_root": "opt"}, "remote_root"),
        ({"remote_root": "/opt/../etc"}, "remote_root"),
        ({"remote_root": "/a b"}, "remote_root"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"deadline_seconds": float("nan")}, "deadline_seconds"),
        ({"keep_releases": 1}, "keep_releases"),
        ({"project_name": "-x"}, "project_name"),
        ({"environment": {"A B": "1"}}, "environment"),
        ({"environment": {"A": "1\nB=2"}}, "environment"),
        ({"environment": {"A": "it's"}}, "environment"),
        ({"environment": {"A": 1}}, "environment"),
    ],
)
def test_a_push_setting_that_cannot_be_used_is_refused(
    values: dict[str, Any], project: Path, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        PushSettings(Target(**values), project, **more)

    assert caught.value.field == field


def test_a_directory_without_compose_file_is_no_project(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"has no docker-compose\.yml"):
        PushSettings(Target(**values), tmp_path)


def test_the_ssh_line_trusts_the_one_key_and_reads_no_known_hosts() -> None:
    assert shlex.join(ssh_argv(Login("admin", Path("keys/id")), "192.0.2.7", KEY)) == (
        "ssh -i keys/id -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null "
        f"-o GlobalKnownHostsFile=/dev/null -o 'KnownHostsCommand=/bin/echo %H {KEY}' admin@192.0.2.7"
    )


def test_another_port_stands_before_the_host_in_the_ssh_line() -> None:
    assert ssh_argv(Login("u", Path("k")), "h", KEY, 2222)[-3:] == ["-p", "2222", "u@h"]

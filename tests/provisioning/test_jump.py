"""Through a jump host: its key is pinned like the host's own, and each failure names the place."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.config.keys import fingerprint
from provisioning.config.login import Login
from provisioning.config.settings import Jump, Target
from provisioning.errors import SettingsError
from provisioning.host_errors import AuthFailed, ConnectionLost, HostKeyMismatch, Unreachable
from provisioning.ssh import Timeouts, connect
from provisioning.ssh.openssh import ssh_argv

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("me@jump.example", "me", "jump.example", 22),
        ("me@192.0.2.1:2222", "me", "192.0.2.1", 2222),
        ("me@[2001:db8::1]", "me", "2001:db8::1", 22),
        ("me@[2001:db8::1]:2222", "me", "2001:db8::1", 2222),
    ],
)
def test_a_jump_host_is_written_as_ssh_writes_it(text: str, user: str, host: str, port: int) -> None:
    jump = Jump.parse(text, f"{KEY} comment")

    assert (jump.user, jump.host, jump.port, jump.host_key) == (user, host, port, KEY)


@pytest.mark.parametrize(
    "text",
    [
        *("", "me@", "@host", "host", "me@-oProxyCommand=id", "-l@host", "me@h;id", "me@$(id)", "me@h\n"),
        *("me@h:0", "me@h:70000", "me@h:x", "me@2001:db8::1", "me@[h", "a@b@c", "me@[1.2.3.4]", "me@h:22:22"),
    ],
)
def test_another_way_to_write_it_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Jump.parse(text, KEY)

    assert (caught.value.field, caught.value.exit_code) == ("ssh_jump", 2)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("", "the host key of the jump host h is not set"),
        ("ssh-dss AAAA", "is not a public key of a kind that is trusted"),
        ("ssh-rsa AAAA", "does not hold a ssh-rsa key"),
    ],
)
def test_a_jump_host_without_a_usable_host_key_is_refused(key: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        Jump.parse("me@h", key)

    assert caught.value.field == "ssh_jump_host_key"


def test_the_ssh_command_pins_both_keys_and_reads_no_known_hosts() -> None:
    jump = Jump.parse("me@[2001:db8::1]:2222", KEY)

    argv = ssh_argv(Login("admin", Path("/keys/a b%/id"), jump=jump), "10.0.0.5", f"{KEY}XX")

    (proxy,) = [word.removeprefix("ProxyCommand=") for word in argv if word.startswith("ProxyCommand=")]
    inner = shlex.split(proxy.replace("%%", "%"))
    assert inner[-5:] == ["-p", "2222", "me@2001:db8::1", "-W", "%h:%p"]
    assert inner[1:3] == ["-i", "/keys/a b%/id"]
    assert f"KnownHostsCommand=/bin/echo %H {KEY}" in inner
    assert f"KnownHostsCommand=/bin/echo %H {KEY}XX" in argv
    assert [word for word in (*argv, *inner) if word.startswith("UserKnownHostsFile")] == [
        "UserKnownHostsFile=/dev/null"
    ] * 2


@pytest.fixture
def jump(host: Any, make_key: Any, tmp_path: Path) -> Iterator[Any]:
    """An SSH server that forwards to the host's."""
    host_key = make_key(tmp_path / "jump_key")
    server = type(host.sshd)(tmp_path / "jump_key", host.sshd.login_key, host.sshd.environment)
    server.tunnels[host.target.port] = host.target.port
    server.host_key = host_key
    yield server
    server.stop()


def through(host: Any, jump: Any, key: str = "") -> Target:
    target: Target = host.target
    return replace(target, jump=Jump("127.0.0.1", "me", key or jump.host_key, jump.port))


@pytest.mark.process
def test_a_command_and_five_megabytes_go_through_the_jump_host(host: Any, jump: Any) -> None:
    with connect(through(host, jump)) as connection:
        said = connection.run("head -c 5000000 /dev/zero | tr '\\0' x", deadline=30).stdout

    assert len(said) == 5_000_000
    assert (jump.commands, len(host.sshd.commands)) == ([], 1)


@pytest.mark.process
def test_a_push_goes_through_the_jump_host(host: Any, jump: Any) -> None:
    host.target = through(host, jump)

    assert host.push().changed
    assert not host.push().changed


@pytest.mark.process
def test_another_key_of_the_jump_host_is_refused_before_login(host: Any, jump: Any) -> None:
    with pytest.raises(HostKeyMismatch) as caught:
        connect(through(host, jump, host.host_key))

    assert caught.value.address == f"127.0.0.1:{jump.port}"
    assert fingerprint(jump.host_key) in str(caught.value)
    assert (jump.auth_attempts, host.sshd.auth_attempts) == ([], [])


@pytest.mark.process
def test_another_key_of_the_host_behind_it_is_refused_before_login(host: Any, jump: Any) -> None:
    with pytest.raises(HostKeyMismatch, match=str(host.target.port)):
        connect(replace(through(host, jump), host_keys=(jump.host_key,)))

    assert host.sshd.auth_attempts == []


@pytest.mark.process
def test_a_jump_host_that_does_not_get_there_or_does_not_know_us_is_named(host: Any, jump: Any) -> None:
    jump.tunnels.clear()
    with pytest.raises(Unreachable, match=f"the jump host 127.0.0.1:{jump.port} cannot reach the host"):
        connect(through(host, jump))

    jump.login_key = jump.host_key
    with pytest.raises(AuthFailed, match=f"me@127.0.0.1:{jump.port} does not accept"):
        connect(through(host, jump))


@pytest.mark.process
def test_a_jump_host_that_goes_silent_is_noticed(host: Any, jump: Any, link_to: Any) -> None:
    link = link_to(jump.port)
    limits = Timeouts(probe_every=0.2, probe_limit=0.5)
    target = replace(host.target, jump=Jump("127.0.0.1", "me", jump.host_key, link.port))
    started = time.monotonic()

    with connect(target, limits) as connection:
        link.stall()
        with pytest.raises(ConnectionLost, match="sleeping"):
            connection.run(["sleep", "5"], deadline=60, step="sleeping")

    assert time.monotonic() - started < 15

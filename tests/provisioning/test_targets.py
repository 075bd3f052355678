"""Hosts as they are in the world: noisy shells, no shell, old servers, users without rights, silent lines."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.host_key.messages import CreateHostKey
from provisioning.agent.observe.messages import ReadReadiness
from provisioning.config.settings import Target
from provisioning.host_errors import (
    AlgorithmsTooWeak,
    CommandFailed,
    ConnectionLost,
    NoBanner,
    ShellFailed,
    UnknownHost,
    Unreachable,
    UploadFailed,
)
from provisioning.ssh import Timeouts, connect

pytestmark = pytest.mark.process

GOOD = {
    "kex": "curve25519-sha256@libssh.org",
    "key": "ssh-ed25519",
    "cipher": "aes256-gcm@openssh.com,aes256-ctr",
    "mac": "hmac-sha2-256",
}


def names(text: str) -> bytes:
    return struct.pack(">I", len(text)) + text.encode()


class OldServer:
    """Says which algorithms it has, as the first packet of SSH does, and nothing after that."""

    def __init__(self, offer: dict[str, str]) -> None:
        lists = [
            offer["kex"],
            offer["key"],
            *[offer["cipher"]] * 2,
            *[offer["mac"]] * 2,
            *["none"] * 2,
            "",
            "",
        ]
        payload = b"\x14" + bytes(16) + b"".join(map(names, lists)) + bytes(5)
        padding = 8 - (len(payload) + 5) % 8 + 4
        padding += -(len(payload) + 5 + padding) % 8
        packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)
        self._said = b"SSH-2.0-Old_1.0\r\n" + packet
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client:
            client.sendall(self._said)
            while data := client.recv(65536):
                self.heard += data

    def stop(self) -> None:
        self._listener.close()
        self._thread.join(5)


@pytest.mark.parametrize(
    "weak",
    [
        {"kex": "diffie-hellman-group1-sha1"},
        {"kex": "diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1"},
        {"kex": "diffie-hellman-group-exchange-sha256"},
        {"key": "ssh-rsa"},
        {"key": "ssh-dss"},
        {"cipher": "aes128-cbc,aes256-cbc"},
        {"cipher": "3des-cbc"},
        {"cipher": "aes256-ctr", "mac": "hmac-sha1,hmac-sha1-96"},
        {"cipher": "aes256-ctr", "mac": "hmac-md5"},
    ],
    ids=str,
)
def test_a_server_that_has_only_weak_algorithms_is_refused_before_login(
    host: Any, weak: dict[str, str]
) -> None:
    server = OldServer({**GOOD, **weak})
    try:
        with pytest.raises(AlgorithmsTooWeak, match="no longer safe"):
            connect(replace(host.target, port=server.port))
    finally:
        server.stop()

    assert b"admin" not in server.heard


def test_the_same_server_with_good_algorithms_is_only_waited_for(host: Any) -> None:
    server = OldServer(GOOD)
    try:
        with pytest.raises(NoBanner):
            connect(replace(host.target, port=server.port), Timeouts(banner=0.5))
    finally:
        server.stop()


def test_a_name_without_an_address_is_its_own_error(host: Any) -> None:
    with pytest.raises(UnknownHost, match=r"the name no-such-host\.invalid has no address"):
        connect(replace(host.target, host="no-such-host.invalid"))


def test_a_private_address_that_does_not_answer_points_at_the_jump_host(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any, **__: Any) -> socket.socket:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", nobody)

    with pytest.raises(Unreachable) as caught:
        connect(replace(host.target, host="10.1.2.3"))
    assert "onebox:sshJump" in caught.value.hint
    with pytest.raises(Unreachable) as caught:
        connect(replace(host.target, host="8.8.8.8"))
    assert "onebox:sshJump" not in caught.value.hint


@pytest.fixture
def shell(host: Any) -> Iterator[Any]:
    """shell(text): what every command of the user goes through from now on, as start-up files do."""
    path = host.home / "rc"

    def install(text: str) -> None:
        path.write_text(text)
        host.sshd.environment["ENV_FILE"] = str(path)

    host.sshd.prelude = f'[ -e "{path}" ] && . "{path}"\n'
    yield install
    host.sshd.prelude = ""


def test_what_a_start_up_file_prints_is_no_part_of_any_answer(host: Any, shell: Any) -> None:
    shell("echo 'Welcome to this host'; echo '{\"offset\": 7}'; echo held; echo oops >&2\n")

    assert host.push().changed
    assert not host.push().changed
    with connect(host.target) as connection:
        assert connection.run(["echo", "mine"], deadline=10).stdout == "mine\n"


def test_a_start_up_file_that_ends_the_shell_is_named(host: Any, shell: Any) -> None:
    shell("echo 'maintenance until 6'; exit 0\n")

    with connect(host.target) as connection, pytest.raises(ShellFailed, match="maintenance until 6"):
        connection.run(["echo", "x"], deadline=10, step="looking")


def test_a_user_without_a_shell_is_named(host: Any, shell: Any) -> None:
    shell("echo 'This account is currently not available.'; exit 1\n")

    with (
        connect(host.target) as connection,
        pytest.raises(ShellFailed, match="This account is currently not available") as caught,
    ):
        connection.call(ReadReadiness("/run", "/opt"), deadline=10)
    assert "nologin" in caught.value.hint


def test_output_that_is_not_utf8_does_not_stop_anything(host: Any) -> None:
    with connect(host.target) as connection:
        done = connection.run("printf 'a\\377\\376b'; printf '\\300' >&2", deadline=10)

    assert (done.stdout, done.stderr) == ("a\ufffd\ufffdb", "\ufffd")


def test_a_user_without_sudo_is_told_what_is_missing(host: Any) -> None:
    sudo = host.home / "bin" / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")

    with (
        connect(host.target) as connection,
        pytest.raises(CommandFailed, match="a password is required") as caught,
    ):
        connection.call(CreateHostKey("/"), deadline=10, sudo=True)

    assert "admin must be allowed `sudo -n`" in caught.value.hint


def test_a_home_directory_that_cannot_be_written_to_is_not_needed(host: Any) -> None:
    host.sshd.environment["HOME"] = str(host.home)
    docker = host.home / "bin" / "docker"
    home = f"import os\nos.environ['REAL'] = os.environ.get('HOME', ''); os.environ['HOME'] = {str(host.home)!r}\n"
    first, _, rest = docker.read_text().partition("\n")
    docker.write_text(f"{first}\n{home}{rest}")
    host.sshd.environment["HOME"] = "/nowhere"
    host.sshd.directory = "/"

    assert host.push().changed

    seen = (host.docker / "seen.jsonl").read_text()
    assert f'"BUILDX_CONFIG": "{host.root}/buildx"' in seen


def silent_after(link: Any, target: Target) -> Target:
    link.stall()
    return replace(target, port=link.port)


LIMITS = Timeouts(tcp=0.5, banner=0.5, auth=0.5, channel=0.5, probe_every=0.2, probe_limit=0.5)


def test_no_phase_lasts_longer_than_a_silent_host_is_waited_for() -> None:
    limits = Timeouts()

    assert max(limits.tcp, limits.banner, limits.auth, limits.channel) < 20
    assert limits.probe_every + limits.probe_limit < 20


def test_a_host_that_is_silent_from_the_start_is_noticed(host: Any, link: Any) -> None:
    started = time.monotonic()

    with pytest.raises(NoBanner):
        connect(silent_after(link, host.target), LIMITS)

    assert time.monotonic() - started < 10


def test_a_host_that_goes_silent_before_a_command_begins_is_noticed(host: Any, link: Any) -> None:
    with connect(replace(host.target, port=link.port), LIMITS) as connection:
        link.stall()
        with pytest.raises(ConnectionLost, match="looking"):
            connection.run(["true"], deadline=60, step="looking")


def test_a_host_that_goes_silent_during_an_upload_is_noticed(host: Any, link: Any) -> None:
    started = time.monotonic()
    content = os.urandom(1 << 20) * 60
    remote = str(host.home / "there" / "file")

    with connect(replace(host.target, port=link.port), LIMITS) as connection:
        threading.Timer(0.5, link.stall).start()
        with pytest.raises((ConnectionLost, UploadFailed)):
            connection.put_file(content, remote, deadline=60)

    assert time.monotonic() - started < 20
    assert not Path(remote).exists()

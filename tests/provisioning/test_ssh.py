"""The connection, against an SSH server in this process."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.config.keys import fingerprint
from provisioning.errors import DeadlinePassed, SettingsError
from provisioning.host_errors import (
    AuthFailed,
    CommandFailed,
    ConnectionLost,
    HostKeyMismatch,
    NoBanner,
    Unreachable,
    UploadFailed,
)
from provisioning.ssh import Timeouts, connect


def test_another_host_key_is_refused_before_login_and_both_fingerprints_are_shown(
    host: Any, make_key: Any, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other")

    with pytest.raises(HostKeyMismatch) as caught:
        connect(replace(host.target, host_keys=(other,)))

    assert fingerprint(host.host_key) in str(caught.value)
    assert fingerprint(other) in str(caught.value)
    assert (host.sshd.auth_attempts, host.sshd.commands) == ([], [])


def test_either_of_two_trusted_host_keys_is_accepted(host: Any, make_key: Any, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")

    with connect(replace(host.target, host_keys=(other, host.host_key))) as connection:
        assert connection.active


def test_a_login_key_that_the_host_does_not_know_is_its_own_error(
    host: Any, make_key: Any, tmp_path: Path
) -> None:
    make_key(tmp_path / "stranger")

    with pytest.raises(AuthFailed, match="does not accept the key"):
        connect(replace(host.target, private_key_file=tmp_path / "stranger"))


def test_nobody_listening_is_unreachable(host: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    with pytest.raises(Unreachable, match="refused"):
        connect(replace(host.target, port=port))


def test_a_port_that_does_not_speak_ssh_has_no_banner(host: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = replace(host.target, port=silent.getsockname()[1])

        with pytest.raises(NoBanner):
            connect(target, Timeouts(banner=0.5))


def test_a_file_that_is_no_key_is_refused(host: Any, tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_text("hello")
    (tmp_path / "nonsense").chmod(0o600)

    with pytest.raises(SettingsError, match="is not a private key"):
        connect(replace(host.target, private_key_file=tmp_path / "nonsense"))


@pytest.mark.parametrize("stream", [1, 2])
def test_five_megabytes_on_either_stream_do_not_hang(host: Any, stream: int) -> None:
    command = f"head -c 5000000 /dev/zero | tr '\\0' x >&{stream}; exit 3"

    with connect(host.target) as connection:
        done = connection.run(command, deadline=20, check=False)

    assert done.status == 3
    assert len(done.stdout if stream == 1 else done.stderr) == 5_000_000


def test_a_large_input_reaches_the_command_whole(host: Any) -> None:
    content = bytes(range(256)) * 20_000

    with connect(host.target) as connection:
        done = connection.run(["sha256sum"], deadline=20, input=content)

    assert done.stdout.split()[0] == hashlib.sha256(content).hexdigest()


def test_a_command_that_does_not_read_its_input_still_ends(host: Any) -> None:
    with connect(host.target) as connection:
        done = connection.run("exit 4", deadline=20, input=b"x" * 4_000_000, check=False)

    assert done.status == 4


def test_a_status_other_than_zero_is_an_error_with_what_was_said(host: Any) -> None:
    with (
        connect(host.target) as connection,
        pytest.raises(CommandFailed, match="status 7: too bad") as caught,
    ):
        connection.run("echo too bad >&2; exit 7", deadline=10, step="trying")

    assert caught.value.status == 7


def test_arguments_arrive_as_they_were_given(host: Any) -> None:
    odd = "a b; echo $HOME 'c' \"d\" *"

    with connect(host.target) as connection:
        assert connection.run(["printf", "%s", odd], deadline=10).stdout == odd


def test_a_command_ends_at_its_deadline(host: Any) -> None:
    started = time.monotonic()

    with connect(host.target) as connection, pytest.raises(DeadlinePassed, match="sleeping"):
        connection.run(["sleep", "30"], deadline=0.4, step="sleeping")

    assert time.monotonic() - started < 10


def test_a_connection_cut_during_a_command_is_noticed(host: Any) -> None:
    host.sshd.on_command = lambda _command: threading.Timer(0.2, host.sshd.cut).start()

    with connect(host.target) as connection, pytest.raises(ConnectionLost, match="sleeping"):
        connection.run(["sleep", "5"], deadline=30, step="sleeping")


def test_a_host_that_stops_answering_is_noticed_without_a_word_from_it(host: Any, link: Any) -> None:
    limits = Timeouts(probe_every=0.2, probe_limit=0.5)
    started = time.monotonic()

    with connect(replace(host.target, port=link.port), limits) as connection:
        link.stall()
        with pytest.raises(ConnectionLost, match="sleeping"):
            connection.run(["sleep", "5"], deadline=60, step="sleeping")

    assert time.monotonic() - started < 15


def test_an_upload_appears_under_its_name_only_when_it_is_whole(host: Any) -> None:
    remote = host.home / "there" / "file"

    with connect(host.target) as connection:
        sha256 = connection.put_file(b"content", str(remote), deadline=10, mode=0o640)

    assert sha256 == hashlib.sha256(b"content").hexdigest()
    assert remote.read_bytes() == b"content"
    assert remote.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in remote.parent.iterdir()] == ["file"]


def test_an_upload_that_is_cut_leaves_the_old_file_and_only_a_part(host: Any, link: Any) -> None:
    remote = host.home / "there" / "file"
    remote.parent.mkdir()
    remote.write_text("old")

    with connect(replace(host.target, port=link.port)) as connection:
        link.cut_after(600_000)
        with pytest.raises((ConnectionLost, UploadFailed)):
            connection.put_file(b"x" * 8_000_000, str(remote), deadline=20)

    assert remote.read_text() == "old"
    assert all(path.name == "file" or ".part-" in path.name for path in remote.parent.iterdir())


def test_a_tunnel_to_a_closed_port_is_unreachable(host: Any) -> None:
    with connect(host.target) as connection, pytest.raises(Unreachable, match="nothing listens"):
        connection.open_tunnel(9, 5)

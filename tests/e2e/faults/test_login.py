"""Rows F1 and F2: another host answers at the address; sshd comes late."""

from __future__ import annotations

import base64
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import pytest

from provisioning.cli.console import Console
from provisioning.config.keys import fingerprint
from provisioning.deadline import Deadline
from provisioning.host.readiness import wait_for_login
from provisioning.host_errors import AuthFailed, HostKeyMismatch
from provisioning.ssh import connect
from tests.e2e.faults.figures import FULL, figure, rounds
from tests.link import Link

if TYPE_CHECKING:
    from provisioning.config.settings import Target
    from tests.e2e.faults.real_host import RealHost

pytestmark = pytest.mark.e2e

IMPOSTOR_PORT = 2200


@contextmanager
def impostor(host: RealHost, kind: str) -> Iterator[Target]:
    """A second sshd on the host that shows a key of its own and logs every packet; the target that leads to it."""
    home = f"/run/impostor-{kind}"
    host.sh(f"mkdir -p {home} && ssh-keygen -q -t {kind} -N '' -f {home}/key </dev/null")
    options = ["-o", "LogLevel=DEBUG3", "-o", f"PidFile={home}/pid", "-o", "UsePAM=yes"]
    server = ("/usr/sbin/sshd", "-f", "/dev/null", "-h", f"{home}/key", "-p", str(IMPOSTOR_PORT))
    host.inside(*server, "-E", f"{home}/log", *options)
    opened = ("-t", "mangle", "-I", "PREROUTING", "-p", "tcp", "--dport", str(IMPOSTOR_PORT), "-j", "ACCEPT")
    host.inside("iptables", *opened)
    try:
        yield replace(host.target, port=IMPOSTOR_PORT)
    finally:
        host.inside("iptables", *("-D" if word == "-I" else word for word in opened))
        host.sh(f"kill $(cat {home}/pid); rm -r {home}")


def logged(host: RealHost, kind: str) -> str:
    return host.sh(f"cat /run/impostor-{kind}/log")


def some_key() -> str:
    """A well-formed ed25519 host key that nobody has."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + secrets.token_bytes(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def test_f1_a_host_with_another_key_is_refused_before_any_byte_of_authentication(host: RealHost) -> None:
    per_kind = rounds(7, 2)
    refused = 0
    for kind in ("ed25519", "ecdsa", "rsa"):
        with impostor(host, kind) as target:
            shown = host.sh(f"ssh-keygen -l -f /run/impostor-{kind}/key.pub").split()[1]
            for number in range(per_kind):
                # The host's own key is pinned, or any other: both are refused.
                pinned = target.host_keys if number % 2 == 0 else (some_key(),)
                with pytest.raises(HostKeyMismatch) as refusal:
                    connect(replace(target, host_keys=pinned))
                assert shown in str(refusal.value)
                assert fingerprint(pinned[0]) in str(refusal.value)
                refused += 1
            log = logged(host, kind)
            met = len(set(re.findall(rf"Connection from {re.escape('172.')}\S+ port (\d+)", log)))
            assert met == per_kind, log[-2000:]
            assert "userauth-request" not in log
            # The log does show it when somebody gets that far.
            if kind == "ed25519":
                own = host.sh(f"cat /run/impostor-{kind}/key.pub").split()
                connect(replace(target, host_keys=(" ".join(own[:2]),))).close()
                assert "userauth-request" in logged(host, kind)
    figure(
        "F1",
        f"wrong host key: {refused} of {refused} refused, both fingerprints shown, 0 authentication packets",
    )


class Late:
    """A port where nothing listens, then somebody who says nothing, then the real sshd."""

    def __init__(self, host: RealHost, refused: float, mute: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._phases = refused, mute
        self._link = Link(host.address, 22)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._link.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        self._link.__exit__()

    def _run(self) -> None:
        refused, mute = self._phases
        self._over.wait(refused)
        held: list[socket.socket] = []
        pumps: list[threading.Thread] = []
        ends = time.monotonic() + mute
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            listener.settimeout(0.1)
            while not self._over.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                if time.monotonic() < ends:
                    held.append(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._link.port))
                for pair in ((client, server), (server, client)):
                    pumps.append(threading.Thread(target=_copy, args=pair, daemon=True))
                    pumps[-1].start()
        for client in held:
            client.close()
        for pump in pumps:
            pump.join(1)


def _copy(source: socket.socket, goal: socket.socket) -> None:
    try:
        while data := source.recv(16384):
            goal.sendall(data)
        goal.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    finally:
        source.close()


def test_f2_an_sshd_that_comes_late_is_waited_for_with_few_words(
    host: RealHost, late_user: str, capfd: pytest.CaptureFixture[str]
) -> None:
    refused, mute, keyless = (30.0, 10.0, 10.0) if FULL else (1.0, 1.0, 2.0)
    limit = 60.0
    with Late(host, refused, mute) as late, Console() as console:
        target = replace(host.target, host="127.0.0.1", port=late.port, user=late_user)
        started = time.monotonic()
        key_time = threading.Timer(refused + mute + keyless, host.write_key, (late_user,))
        key_time.start()
        wait_for_login(target, Deadline(limit), console.show).close()
        took = time.monotonic() - started
        key_time.join()
    lines = [line for line in capfd.readouterr().err.splitlines() if line.strip()]
    assert refused + mute + keyless <= took <= limit + 1
    assert len(lines) <= max(1, took / 5)
    figure(
        "F2",
        f"sshd late ({refused:.0f} s refused, {mute:.0f} s mute, {keyless:.0f} s without our key): "
        f"logged in after {took:.1f} s, {len(lines)} line(s) printed",
    )


def test_f27_a_replaced_login_key_lets_the_new_one_in_and_the_old_one_no_more(
    host: RealHost, late_user: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host.write_key(late_user)
    new_file = tmp_path_factory.mktemp("key") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(new_file)], check=True)
    old = replace(host.target, user=late_user)
    new = replace(old, private_key_file=new_file)
    connect(old).close()
    with pytest.raises(AuthFailed):
        connect(new)

    file = f"/home/{late_user}/.ssh/authorized_keys"
    host.inside("sh", "-c", f"cat > {file}.new", given=new_file.with_suffix(".pub").read_text())
    host.sh(f"chown {late_user} {file}.new; chmod 600 {file}.new; mv {file}.new {file}")

    connect(new).close()
    started = time.monotonic()
    with pytest.raises(AuthFailed) as refusal:
        connect(old)
    assert str(old.private_key_file) in str(refusal.value)
    figure(
        "F27.1",
        f"login key replaced: the new one gets in, the old one is refused after {time.monotonic() - started:.1f} s",
    )

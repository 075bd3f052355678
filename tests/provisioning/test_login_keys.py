"""The key that logs in: which kinds are taken, and one sentence for each that is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from provisioning.config.keys import fingerprint
from provisioning.config.passphrase import VARIABLE, read_passphrase
from provisioning.config.private_key import check_key_file, is_encrypted
from provisioning.errors import SettingsError
from provisioning.host_errors import AuthFailed
from provisioning.ssh import connect
from provisioning.ssh.keys import load_private_key


def write_key(path: Path, key: Any, passphrase: str = "", *, pem: bool = False) -> str:
    """A private key file as ssh-keygen leaves it; returns the public half."""
    locked: Any = serialization.NoEncryption()
    if passphrase:
        locked = serialization.BestAvailableEncryption(passphrase.encode())
    shape = serialization.PrivateFormat.TraditionalOpenSSL if pem else serialization.PrivateFormat.OpenSSH
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, shape, locked))
    path.chmod(0o600)
    half = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return str(half.decode())


def new_rsa(bits: int) -> Any:
    return rsa.generate_private_key(65537, bits)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ed25519.Ed25519PrivateKey.generate(), "ssh-ed25519"),
        (ec.generate_private_key(ec.SECP256R1()), "ecdsa-sha2-nistp256"),
        (ec.generate_private_key(ec.SECP521R1()), "ecdsa-sha2-nistp521"),
    ],
)
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_modern_keys_are_taken_with_and_without_a_passphrase(
    tmp_path: Path, key: Any, kind: str, passphrase: str
) -> None:
    write_key(tmp_path / "key", key, passphrase)

    assert load_private_key(tmp_path / "key", passphrase or None).get_name() == kind
    assert is_encrypted(tmp_path / "key") is bool(passphrase)


def test_an_rsa_key_counts_from_3072_bits_on(tmp_path: Path) -> None:
    write_key(tmp_path / "key", new_rsa(3072), pem=True)
    assert load_private_key(tmp_path / "key").get_bits() == 3072

    for bits in (1024, 2048):
        write_key(tmp_path / "small", new_rsa(bits))
        with pytest.raises(SettingsError, match=f"RSA key of {bits} bits; at least 3072 are required"):
            load_private_key(tmp_path / "small")


@pytest.mark.filterwarnings("ignore:SSH DSA key support")
def test_a_dsa_key_is_refused_by_its_kind(tmp_path: Path) -> None:
    write_key(tmp_path / "key", dsa.generate_private_key(1024), pem=True)  # noqa: S505 - it is to be refused

    with pytest.raises(SettingsError, match="of a type that is no longer supported"):
        load_private_key(tmp_path / "key")


def test_a_passphrase_that_is_missing_or_wrong_is_said_and_never_shown(tmp_path: Path) -> None:
    write_key(tmp_path / "key", ed25519.Ed25519PrivateKey.generate(), "open sesame")

    with pytest.raises(SettingsError, match="is encrypted and no passphrase was given") as caught:
        load_private_key(tmp_path / "key")
    assert VARIABLE in caught.value.hint
    with pytest.raises(SettingsError, match="the passphrase does not open") as caught:
        load_private_key(tmp_path / "key", "guess-17")
    assert "guess-17" not in str(caught.value) + caught.value.hint


def test_a_passphrase_for_a_key_that_has_none_does_no_harm(tmp_path: Path) -> None:
    write_key(tmp_path / "key", ed25519.Ed25519PrivateKey.generate())

    assert load_private_key(tmp_path / "key", "unused").get_name() == "ssh-ed25519"


@pytest.mark.parametrize(
    ("name", "text", "mode", "sentence"),
    [
        ("id.pub", "ssh-ed25519 AAAA me", 0o644, "is the public key"),
        ("id", "ssh-rsa AAAA me", 0o600, "is the public key"),
        ("id", "-----BEGIN PUBLIC KEY-----", 0o600, "is the public key"),
        ("id.ppk", "PuTTY-User-Key-File-3: ssh-ed25519", 0o600, "in PuTTY's format"),
        ("id", "-----BEGIN OPENSSH PRIVATE KEY-----", 0o644, r"can be read by others \(mode 0644\)"),
        ("a b's id", "-----BEGIN OPENSSH PRIVATE KEY-----", 0o604, r"can be read by others \(mode 0604\)"),
    ],
)
def test_a_file_that_is_something_else_is_refused_for_what_it_is(
    tmp_path: Path, name: str, text: str, mode: int, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(mode)

    with pytest.raises(SettingsError, match=sentence) as caught:
        check_key_file(tmp_path / name)

    assert (caught.value.field, bool(caught.value.hint)) == ("private_key_file", True)


def test_the_passphrase_comes_from_the_environment_first_and_then_from_the_terminal(tmp_path: Path) -> None:
    locked, plain = tmp_path / "locked", tmp_path / "plain"
    write_key(locked, ed25519.Ed25519PrivateKey.generate(), "open sesame")
    write_key(plain, ed25519.Ed25519PrivateKey.generate())
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "typed"

    assert read_passphrase(locked, {VARIABLE: "given"}, ask) == "given"
    assert read_passphrase(locked, {}, ask) == "typed"
    assert read_passphrase(plain, {VARIABLE: "given"}, ask) is None
    assert read_passphrase(None, {VARIABLE: "given"}, ask) is None
    assert asked == [f"Passphrase of {locked}: "]


@pytest.mark.process
def test_an_encrypted_key_logs_in_with_its_passphrase(host: Any, tmp_path: Path) -> None:
    host.sshd.login_key = write_key(tmp_path / "locked", ec.generate_private_key(ec.SECP384R1()), "pass")
    target = replace(host.target, private_key_file=tmp_path / "locked", passphrase="pass")

    with connect(target) as connection:
        assert connection.run(["echo", "in"], deadline=10).stdout == "in\n"
    assert "pass'" not in repr(target)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A running ssh-agent without keys."""
    if not shutil.which("ssh-agent"):
        pytest.skip("ssh-agent is not installed")
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    while not socket.exists():
        assert process.poll() is None
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    yield socket
    process.terminate()
    process.wait()


def add_key(path: Path, key: Any) -> str:
    public = write_key(path, key)
    subprocess.run(["ssh-add", "-q", str(path)], check=True, capture_output=True, env=os.environ)
    return public


@pytest.mark.process
def test_without_a_key_file_the_agents_key_of_the_stack_logs_in_whatever_else_it_holds(
    host: Any, agent: Path, tmp_path: Path
) -> None:
    for number in range(8):
        add_key(tmp_path / f"other{number}", ed25519.Ed25519PrivateKey.generate())
    own = add_key(tmp_path / "own", ed25519.Ed25519PrivateKey.generate())
    host.sshd.login_key = own

    with connect(replace(host.target, private_key_file=None, login_key=own)) as connection:
        assert connection.active

    assert len(host.sshd.auth_attempts) == 1


@pytest.mark.process
def test_an_agent_that_does_not_hold_the_key_is_said_before_anything_is_sent(host: Any, agent: Path) -> None:
    wanted = host.sshd.login_key

    with pytest.raises(SettingsError, match=re.escape(fingerprint(wanted))) as caught:
        connect(replace(host.target, private_key_file=None, login_key=wanted))

    assert "ssh-add" in caught.value.hint
    assert host.sshd.auth_attempts == []


@pytest.mark.process
def test_without_a_key_of_the_stack_the_agents_first_five_are_tried(
    host: Any, agent: Path, tmp_path: Path
) -> None:
    for number in range(7):
        add_key(tmp_path / f"other{number}", ed25519.Ed25519PrivateKey.generate())

    with pytest.raises(AuthFailed, match="of the ssh-agent"):
        connect(replace(host.target, private_key_file=None))

    assert len(host.sshd.auth_attempts) == 5


def test_no_agent_at_all_is_said(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    with pytest.raises(SettingsError, match="no ssh-agent with a usable key was found"):
        connect(replace(host.target, private_key_file=None))

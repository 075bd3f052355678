"""The only use of paramiko: a connection that trusts pinned keys, and commands that always end.

paramiko alone never notices a dead peer and hangs when one of a command's two streams fills up, so
every wait here has a deadline of ours, both streams are drained together, and a probe runs beside.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import shlex
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from provisioning.errors import (
    AuthFailed,
    CommandFailed,
    ConnectionLost,
    HostKeyMismatch,
    NoBanner,
    SettingsError,
    Unreachable,
    UploadFailed,
)
from provisioning.process import Completed, Process
from provisioning.remote import script
from provisioning.settings import Target

# What paramiko 5 still offers although nobody should use it any more.
DISABLED_ALGORITHMS = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-sha1", "hmac-sha1-96", "hmac-md5", "hmac-md5-96"],
}
# What paramiko raises from a stream whose connection has just gone.
_BROKEN = (paramiko.SSHException, EOFError, OSError)

# Each failed connection would otherwise print paramiko's own traceback; ours are typed errors.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Timeouts:
    """Seconds for each phase of connecting, and for noticing that the host is gone."""

    tcp: float = 8.0
    banner: float = 12.0
    auth: float = 12.0
    channel: float = 12.0
    probe_every: float = 5.0
    probe_limit: float = 12.0


def fingerprint(key: str) -> str:
    """`SHA256:…` of a public key given as `type base64`, as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def connect(target: Target, timeouts: Timeouts | None = None) -> Connection:
    """A logged-in connection to a host whose key is one of `target.host_keys`.

    Raises Unreachable, NoBanner, HostKeyMismatch (before anything about us is sent), AuthFailed.
    """
    limits = timeouts or Timeouts()
    key = load_private_key(target.private_key_file)
    transport = _negotiate(target, limits)
    try:
        _authenticate(transport, target, key, limits)
    except BaseException:
        transport.close()
        raise
    return Connection(transport, target, limits)


def load_private_key(path: Path) -> paramiko.PKey:
    """The private key in a file. Raises SettingsError when it is not one, or is encrypted."""
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError) as error:
        raise SettingsError(
            "private_key_file",
            f"the private key {path} is encrypted",
            hint="Use a key without a passphrase that only this user can read.",
        ) from error
    except (paramiko.SSHException, ValueError, OSError) as error:
        raise SettingsError("private_key_file", f"{path} is not a private key that can be used") from error


def _negotiate(target: Target, limits: Timeouts) -> paramiko.Transport:
    try:
        sock = socket.create_connection((target.host, target.port), timeout=limits.tcp)
    except TimeoutError as error:
        raise Unreachable(target.address, f"no answer within {limits.tcp:.0f} s") from error
    except OSError as error:
        raise Unreachable(target.address, (error.strerror or str(error)).lower()) from error
    transport = paramiko.Transport(sock, disabled_algorithms=DISABLED_ALGORITHMS)
    transport.daemon = True
    transport.banner_timeout = limits.banner
    transport.auth_timeout = limits.auth
    transport.channel_timeout = limits.channel
    options = transport.get_security_options()
    # Trusted types first, so that a host with several keys shows the one that can be checked; the
    # others stay, so that a changed host is reported with its fingerprint.
    trusted_types = [key.split()[0] for key in target.host_keys]
    options.key_types = sorted(options.key_types, key=lambda name: name not in trusted_types)
    try:
        # When its time is over, start_client returns as if all were well; asking for the key tells.
        transport.start_client(timeout=limits.banner)
        shown = transport.get_remote_server_key()
    except _BROKEN as error:
        transport.close()
        if isinstance(error, IncompatiblePeer):
            raise Unreachable(target.address, f"no common SSH algorithm ({error})") from error
        reason = (
            "it said nothing yet" if "session" in str(error) else str(error) or "the connection was closed"
        )
        raise NoBanner(target.address, reason) from error
    found = f"{shown.get_name()} {shown.get_base64()}"
    if found not in target.host_keys:
        transport.close()
        raise HostKeyMismatch(
            target.address, fingerprint(found), tuple(fingerprint(key) for key in target.host_keys)
        )
    return transport


def _authenticate(
    transport: paramiko.Transport, target: Target, key: paramiko.PKey, limits: Timeouts
) -> None:
    try:
        missing = transport.auth_publickey(target.user, key)
    except paramiko.AuthenticationException as error:
        if "timeout" in str(error).lower():
            raise NoBanner(target.address, f"login did not end within {limits.auth:.0f} s") from error
        raise AuthFailed(target.address, target.user, str(target.private_key_file)) from error
    except _BROKEN as error:
        raise NoBanner(target.address, f"closed during login ({error})") from error
    if missing:
        wanted = ", ".join(missing)
        raise AuthFailed(target.address, target.user, str(target.private_key_file), f"it also wants {wanted}")


class Connection:
    """A logged-in connection. Use it as a context manager; it closes itself when the host goes silent."""

    def __init__(self, transport: paramiko.Transport, target: Target, limits: Timeouts) -> None:
        self.target = target
        self.lost = False
        self._transport = transport
        self._limits = limits
        self._closing = threading.Event()
        threading.Thread(target=self._probe, name="onebox-ssh-probe", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; commands that still run on the host see the end of their input."""
        self._closing.set()
        self._transport.close()

    @property
    def active(self) -> bool:
        """Whether the host still answered at the last probe."""
        return self._transport.is_active() and not self.lost

    def start(self, command: Sequence[str] | str, step: str) -> Process:
        """Start a command (argv, or a line for the remote shell) without waiting for it."""
        line = command if isinstance(command, str) else shlex.join(command)
        try:
            channel = self._transport.open_session(timeout=self._limits.channel)
            channel.settimeout(self._limits.channel)
            channel.exec_command(line)
        except _BROKEN as error:
            raise ConnectionLost(self.target.address, step) from error
        return Process(channel, self.target.address, step, lambda: self.active, _BROKEN)

    def run(
        self,
        command: Sequence[str] | str,
        *,
        deadline: float,
        step: str = "",
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run uses for the same thing
        check: bool = True,
        on_output: Callable[[bytes], None] | None = None,
        hold_input: bool = False,
    ) -> Completed:
        """Run a command to its end and return what it said.

        `deadline` is in seconds. `on_output` gets standard output as it comes instead of it being kept.
        `hold_input` keeps the command's input open, so that it can tell that we are gone. Raises
        DeadlinePassed, ConnectionLost, and CommandFailed when `check` is set and the status is not 0.
        """
        name = step or (command if isinstance(command, str) else command[0])
        process = self.start(command, name)
        try:
            done = process.wait(deadline, data=input or b"", on_output=on_output, hold_input=hold_input)
        finally:
            process.close()
        if check and done.status != 0:
            raise CommandFailed(name, done.status, done.stderr or done.stdout)
        return done

    def run_script(
        self,
        name: str,
        *arguments: str,
        deadline: float,
        step: str = "",
        input: bytes | None = None,  # noqa: A002
        check: bool = True,
        sudo: bool = False,
    ) -> Completed:
        """Run one of the Python scripts of `provisioning/remote/` on the host; otherwise as `run`."""
        argv = [*(["sudo", "-n"] if sudo else []), "python3", "-I", "-c", script(name), *arguments]
        return self.run(argv, deadline=deadline, step=step or name, input=input, check=check)

    def put_file(self, source: Path | bytes, remote: str, *, deadline: float, mode: int = 0o600) -> str:
        """Bring a file or bytes to `remote` and return its SHA-256 (hex), as the host computed it.

        It is written beside its name as `.part-<id>` and renamed only after the host found the same
        hash, so a reader sees the old file or the whole new one. Raises UploadFailed.
        """
        content = source if isinstance(source, bytes) else source.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        arguments = (remote, f"{remote}.part-{secrets.token_hex(4)}", sha256, f"{mode:o}")
        done = self.run_script(
            "receive.py",
            *arguments,
            deadline=deadline,
            step=f"upload of {remote}",
            input=content,
            check=False,
        )
        if done.status == 28:
            raise UploadFailed(remote, "the disk of the host is full", hint="Free space on the host.")
        if done.status != 0:
            raise UploadFailed(remote, done.stderr.strip() or f"status {done.status}")
        return sha256

    def open_tunnel(self, port: int, timeout: float) -> paramiko.Channel:
        """A stream to a port on the host's own loopback address. Raises Unreachable."""
        where = f"127.0.0.1:{port} on {self.target.host}"
        try:
            channel = self._transport.open_channel(
                "direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0), timeout=timeout
            )
        except _BROKEN as error:
            raise Unreachable(where, "nothing listens there") from error
        channel.settimeout(timeout)
        return channel

    def _probe(self) -> None:
        """Ask the host for an answer every few seconds; close everything when none comes in time."""
        while not self._closing.wait(self._limits.probe_every) and self._transport.is_active():
            giving_up = threading.Timer(self._limits.probe_limit, self._give_up)
            giving_up.daemon = True
            giving_up.start()
            try:
                self._transport.global_request("keepalive@openssh.com", wait=True)
            except _BROKEN:
                return
            finally:
                giving_up.cancel()

    def _give_up(self) -> None:
        if not self._closing.is_set():
            self.lost = True
            self._transport.close()

"""An SSH server in this process that runs the commands it is given, for real, in a directory of its own."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_FAILED_CONNECT_FAILED, OPEN_SUCCEEDED


def make_key(path: Path) -> str:
    """Write a new ed25519 private key to `path` and return its public half."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.write_bytes(text)
    path.chmod(0o600)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()


@dataclass
class Sshd:
    """Serves on a free loopback port until `stop`. `environment` is that of every command."""

    host_key_file: Path
    login_key: str
    environment: dict[str, str]
    auth_attempts: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    refuse_logins: int = 0
    tunnels: dict[int, int] = field(default_factory=dict)
    """Port asked for -> port on this machine that answers."""
    on_command: Callable[[str], None] = lambda _command: None
    prelude: str = ""
    """What the login shell runs before every command."""
    directory: str = ""
    """Where commands begin; the home directory when empty."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.transports: list[paramiko.Transport] = []
        self._threads = threading.Thread(target=self._accept, daemon=True)
        self._threads.start()

    def stop(self) -> None:
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads.join(5)
        self.cut()

    def cut(self) -> None:
        """Close every connection, as a network that goes away."""
        for transport in self.transports:
            transport.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(self.host_key_file)))
            self.transports.append(transport)
            try:
                transport.start_server(event=threading.Event(), server=_Server(self))
            except (paramiko.SSHException, EOFError, OSError):
                transport.close()


class _Server(paramiko.ServerInterface):
    def __init__(self, sshd: Sshd) -> None:
        self.sshd = sshd
        self._accepting = threading.Lock()
        self._waiting: dict[int, paramiko.Channel] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.sshd.auth_attempts.append(username)
        if self.sshd.refuse_logins > 0:
            self.sshd.refuse_logins -= 1
            return AUTH_FAILED
        shown = base64.b64encode(key.asbytes()).decode()
        return AUTH_SUCCESSFUL if shown == self.sshd.login_key.split()[1] else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.sshd.commands.append(command.decode())
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        port = self.sshd.tunnels.get(destination[1])
        if port is None:
            return OPEN_FAILED_CONNECT_FAILED
        threading.Thread(target=self._pump, args=(chanid, port), daemon=True).start()
        return OPEN_SUCCEEDED

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        self.sshd.on_command(command)
        process = subprocess.Popen(
            ["/bin/sh", "-c", self.sshd.prelude + command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.sshd.environment,
            cwd=self.sshd.directory or self.sshd.environment["HOME"],
        )
        assert process.stdout
        assert process.stderr
        pumps = [
            threading.Thread(target=_copy, args=(process.stdout.fileno(), channel.sendall), daemon=True),
            threading.Thread(
                target=_copy, args=(process.stderr.fileno(), channel.sendall_stderr), daemon=True
            ),
        ]
        feeder = threading.Thread(target=_feed, args=(channel, process), daemon=True)
        for thread in (*pumps, feeder):
            thread.start()
        for thread in pumps:
            thread.join()
        status = process.wait()
        process.stdout.close()
        process.stderr.close()
        try:
            channel.send_exit_status(status if status >= 0 else 128 - status)
            channel.close()
        except (OSError, EOFError, paramiko.SSHException):
            pass
        feeder.join(5)

    def _accepted(self, chanid: int) -> paramiko.Channel | None:
        """The channel of this number; one that another thread waits for is left for it."""
        transport = self.sshd.transports[-1]
        with self._accepting:
            while chanid not in self._waiting:
                channel = transport.accept(5)
                if channel is None:
                    return None
                self._waiting[channel.get_id()] = channel
            return self._waiting.pop(chanid)

    def _pump(self, chanid: int, port: int) -> None:
        channel = self._accepted(chanid)
        if channel is None:
            return
        # The client may go away at any point of this, and that is no failure of the server.
        with contextlib.suppress(OSError, EOFError), socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=_copy, args=(server.fileno(), channel.sendall), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := channel.recv(32768):
                    server.sendall(data)
                server.shutdown(socket.SHUT_RDWR)
            back.join(5)
            channel.close()


def _copy(descriptor: int, write: Callable[[bytes], object]) -> None:
    broken = False
    while True:
        try:
            data = os.read(descriptor, 32768)
        except OSError:
            return
        if not data:
            return
        if not broken:
            try:
                write(data)
            except (OSError, EOFError):
                broken = True


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    try:
        while data := channel.recv(32768):
            process.stdin.write(data)
            process.stdin.flush()
    except (OSError, EOFError):
        # The line is gone, or the command ended without reading all of it.
        pass
    with contextlib.suppress(OSError):
        process.stdin.close()

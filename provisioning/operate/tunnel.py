"""Forward a local port to a port of the host through the SSH connection, without opening the host's port."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from provisioning.config.settings import Target
from provisioning.deadline import Deadline
from provisioning.errors import ProvisioningError, SettingsError
from provisioning.events import silent
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host_errors import ConnectionLost
from provisioning.ssh import Connection, connect
from provisioning.ssh.timeouts import BROKEN

LOOPBACK = "127.0.0.1"
_LOGIN_SECONDS = 30.0
_OPEN_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_CHUNK = 32768


@dataclass(frozen=True)
class Tunnel:
    """An open tunnel: connections to `local_port` of this machine's loopback address arrive at the host's `port`."""

    port: int
    local_port: int
    connection: Connection

    def wait(self) -> None:
        """Serve until interrupted. Raises ConnectionLost when the host is gone."""
        pause = threading.Event()
        while self.connection.active:
            pause.wait(_LOOK_SECONDS)
        raise ConnectionLost(self.connection.target.address, f"tunnel to port {self.port}")


@contextmanager
def open_tunnel(
    target: Target,
    port: int,
    local_port: int | None = None,
    *,
    connector: Connector = connect,
    on_error: Callable[[str], None] = lambda _text: None,
) -> Iterator[Tunnel]:
    """Serve a tunnel while the block runs. `local_port`: None for the same number as `port`, 0 for any free one.

    Raises SettingsError when the local port is taken, Unreachable when nothing listens on the host's port.
    Later errors of single connections are passed to `on_error`.
    """
    listener = _listen(port if local_port is None else local_port)
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        connection = stack.enter_context(
            wait_for_login(target, Deadline(_LOGIN_SECONDS), silent, connector=connector)
        )
        # Fail now, and not at the first request, when nothing listens on the host's port.
        connection.open_tunnel(port, _OPEN_SECONDS).close()
        over = threading.Event()
        server = threading.Thread(
            target=_serve,
            args=(listener, connection, port, over, on_error),
            name="onebox-tunnel",
            daemon=True,
        )
        server.start()
        try:
            yield Tunnel(port, listener.getsockname()[1], connection)
        finally:
            over.set()
            server.join(5)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise SettingsError(
            "local_port",
            f"port {port} of this machine {reason}",
            hint="Choose another port with --local-port; 0 takes any free one.",
        ) from error


def _serve(
    listener: socket.socket,
    connection: Connection,
    port: int,
    over: threading.Event,
    on_error: Callable[[str], None],
) -> None:
    while not over.is_set():
        if not select.select([listener], [], [], _LOOK_SECONDS)[0]:
            continue
        client, _ = listener.accept()
        threading.Thread(
            target=_pass_on, args=(client, connection, port, over, on_error), daemon=True
        ).start()


def _pass_on(
    client: socket.socket,
    connection: Connection,
    port: int,
    over: threading.Event,
    on_error: Callable[[str], None],
) -> None:
    """Forward bytes between a client and the host's port until the server closes its side."""
    with client:
        try:
            channel = connection.open_tunnel(port, _OPEN_SECONDS)
        except ProvisioningError as error:
            on_error(str(error))
            return
        # Closing the channel writes too, and the connection may be lost at that moment.
        with contextlib.suppress(*BROKEN), contextlib.closing(channel):
            # No timeout: an open page may be idle for long, and the connection's probe detects a dead host.
            channel.settimeout(None)
            _exchange(client, channel, over)


def _exchange(client: socket.socket, channel: Any, over: threading.Event) -> None:
    open_sides: list[Any] = [client, channel]
    while open_sides and not over.is_set():
        for side in select.select(open_sides, [], [], _LOOK_SECONDS)[0]:
            data = side.recv(_CHUNK)
            if data:
                (channel if side is client else client).sendall(data)
                continue
            open_sides.remove(side)
            if side is client:
                channel.shutdown_write()
            else:
                # The server has closed its side and would not read anything more.
                return

"""HTTP requests to a service: to its public port where that is open, else through the SSH connection."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from dataclasses import dataclass
from typing import Protocol

from provisioning.agent.codec import parse
from provisioning.decode import Fields
from provisioning.host_errors import ConnectionLost
from provisioning.ssh import Connection

_DIRECT_TIMEOUT = 4.0
_TUNNEL_TIMEOUT = 10.0
_LIMIT = 1 << 20


class NotYet(Exception):
    """The service responds, but not yet as it should; the next attempt may succeed."""


@dataclass(frozen=True)
class Response:
    """Status and body of an HTTP response."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Return whether the status is 200."""
        return self.status == http.client.OK

    @property
    def excerpt(self) -> str:
        """Return the first 200 bytes of the body as text."""
        return self.body[:200].decode("utf-8", "replace")

    def decoded(self) -> object:
        """Return the body, decoded from JSON. Raises NotYet when it is none."""
        try:
            value: object = parse(self.body)
        except ValueError:
            raise NotYet(f"the answer is not JSON: {self.body[:80]!r}") from None
        return value

    def fields(self, name: str) -> Fields:
        """Return the JSON object in the body. Raises NotYet when it is no JSON, WrongShape when it is no object."""
        return Fields(self.decoded(), name)


class Client(Protocol):
    """Sends requests to one port of the host."""

    def __call__(self, path: str, body: object = None) -> Response:
        """Send POST with a JSON body when there is one, else GET.

        Raises OSError, HTTPException and Unreachable when there is no response, ConnectionLost when
        there is no SSH connection left to send it through.
        """
        ...


def public_client(connection: Connection, port: int) -> tuple[Client, str]:
    """Return a client of a port that should be open from here, and a warning when it is not."""
    host = connection.target.host
    try:
        socket.create_connection((host, port), timeout=_DIRECT_TIMEOUT).close()
    except OSError as error:
        found = (
            "does not answer from here"
            if isinstance(error, TimeoutError)
            else f"is closed from here ({error.strerror})"
        )
        return (
            tunnel_client(connection, port),
            f"port {port} {found}; it was tested through the SSH connection instead",
        )

    def direct(path: str, body: object = None) -> Response:
        return _exchange(http.client.HTTPConnection(host, port, timeout=_DIRECT_TIMEOUT), path, body)

    return direct, ""


def tunnel_client(connection: Connection, port: int) -> Client:
    """Return a client of a port of the host's own loopback address, whatever is open to the outside."""

    def through_ssh(path: str, body: object = None) -> Response:
        if not connection.active:
            raise ConnectionLost(connection.target.address, f"a question to port {port}")
        with contextlib.closing(connection.open_tunnel(port, _TUNNEL_TIMEOUT)) as channel:
            return _exchange(_TunnelConnection(channel, port), path, body)

    return through_ssh


def _exchange(connection: http.client.HTTPConnection, path: str, body: object) -> Response:
    try:
        if body is None:
            connection.request("GET", path)
        else:
            # The API counts a synthetic request, but keeps it out of drift and experiment.
            headers = {"Content-Type": "application/json", "X-Synthetic": "1"}
            connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read(_LIMIT)
        if response.length and len(content) < _LIMIT:
            raise http.client.IncompleteRead(content, response.length)
        return Response(response.status, content)
    finally:
        connection.close()


class _Channel(Protocol):
    """The part of an SSH channel that http.client uses."""

    def sendall(self, data: bytes) -> None: ...
    def makefile(self, mode: str) -> object: ...


class _TunnelConnection(http.client.HTTPConnection):
    """HTTP over a channel that leads to a port of the host's own loopback address."""

    def __init__(self, channel: _Channel, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=_TUNNEL_TIMEOUT)
        self._channel = channel

    def connect(self) -> None:
        self.sock = _Borrowed(self._channel)


class _Borrowed:
    """A channel that http.client may use but not close.

    http.client closes the socket of a response that ends its connection, and reads on from the file made of it;
    a channel, unlike a socket, would lose what was not read yet.
    """

    def __init__(self, channel: _Channel) -> None:
        self.sendall = channel.sendall
        self.makefile = channel.makefile

    def close(self) -> None:
        pass

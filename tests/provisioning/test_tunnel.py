"""A tunnel to a port of the host, with a real SSH server and a real listener behind it."""

from __future__ import annotations

import http.server
import socket
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provisioning.errors import SettingsError
from provisioning.host_errors import ConnectionLost, Unreachable
from provisioning.operate.tunnel import open_tunnel

pytestmark = pytest.mark.process
PORT = 9090


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.path.encode() * 20_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(host: Any) -> Iterator[Any]:
    """A host with a page on a port that nobody outside can reach."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host.sshd.tunnels[PORT] = server.server_address[1]
    yield host
    server.shutdown()
    server.server_close()
    thread.join(5)


def _get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        body: bytes = answer.read()
        return body


def test_a_page_behind_a_closed_port_comes_through_whole(served: Any) -> None:
    with open_tunnel(served.target, PORT, 0) as tunnel:
        assert _get(tunnel.local_port, "/graph") == b"/graph" * 20_000


def test_several_at_once_do_not_mix(served: Any) -> None:
    paths = [f"/{number}" for number in range(6)]

    with open_tunnel(served.target, PORT, 0) as tunnel, ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda path: _get(tunnel.local_port, path), paths))

    assert found == [path.encode() * 20_000 for path in paths]


def test_only_this_machine_can_use_it_and_it_is_closed_afterwards(served: Any) -> None:
    with open_tunnel(served.target, PORT, 0) as tunnel:
        port = tunnel.local_port
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port))

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_a_local_port_that_is_taken_is_said_so(served: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"port {port} of this machine is taken") as caught,
            open_tunnel(served.target, PORT, port),
        ):
            pass

    assert "--local-port" in caught.value.hint


def test_a_port_on_which_nothing_listens_is_said_at_once(served: Any) -> None:
    with pytest.raises(Unreachable, match="nothing listens there"), open_tunnel(served.target, 9091, 0):
        pass


def test_a_host_that_goes_away_ends_the_tunnel(served: Any) -> None:
    with open_tunnel(served.target, PORT, 0) as tunnel:
        threading.Timer(0.3, served.sshd.cut).start()
        with pytest.raises(ConnectionLost, match="tunnel to port 9090"):
            tunnel.wait()

"""Clients that do not read responses, or do not finish requests, hold a bounded amount of memory."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from app.http import connections
from app.settings import ApiSettings
from tests.app.servers import Client, Servers, post, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROW = [5.1, 3.5, 1.4, 0.2]
BATCH = post(json.dumps({"instances": [ROW] * 1000}).encode())
GOOD = post(json.dumps({"features": ROW}).encode())


@pytest.fixture
def servers(trained: Path, tmp_path: Path) -> Iterator[Servers]:
    with running(ApiSettings(models_dir=trained, state_dir=tmp_path / "state")) as found:
        yield found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answered(servers: Servers) -> float:
    text = servers.worker.metrics.render().decode()
    (line,) = [line for line in text.splitlines() if line.startswith("prediction_requests_total ")]
    return float(line.split()[1])


def shed(servers: Servers) -> float:
    text = servers.worker.metrics.render().decode()
    (line,) = [line for line in text.splitlines() if line.startswith("prediction_requests_shed_total ")]
    return float(line.split()[1])


def not_reading(port: int) -> socket.socket:
    """A client whose own buffers are small, so that what it does not read stays with the server."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(0.5)
    client.connect(("127.0.0.1", port))
    return client


def test_a_client_that_does_not_read_gets_no_more_answers_made(servers: Servers) -> None:
    with not_reading(servers.direct) as client, pytest.raises(TimeoutError):
        client.sendall(BATCH * 1000)

    # A batch's answer is ten times the batch: the kernel takes a few, the server keeps one.
    assert answered(servers) <= 40 * 1000


def test_it_gets_all_of_them_when_it_reads_again(servers: Servers) -> None:
    with Client(servers.direct) as client:
        client.send(BATCH * 16)
        # The server has begun to answer, and stops as the client does not read.
        wait_for(lambda: servers.table.held_bytes > 0)
        answers = [client.reply() for _ in range(16)]

    assert [answer.status for answer in answers] == [200] * 16
    assert [len(json.loads(answer.body)["predictions"]) for answer in answers] == [1000] * 16


def test_above_the_limit_the_client_that_was_kept_longest_is_dropped_and_counted(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_HELD", 100_000)
    first, second = (socket.create_connection(("127.0.0.1", servers.direct), timeout=20) for _ in range(2))
    half = post(b"x" * 60_000)[:-1000]
    with first, second, Client(servers.direct) as other:
        first.sendall(half)
        wait_for(lambda: servers.table.held_bytes > 50_000)
        assert other.ask(GOOD).status == 200
        assert shed(servers) == 0
        second.sendall(half)
        assert first.recv(1) == b""
        assert shed(servers) == 1
        second.sendall(b"x" * 1000)
        assert second.recv(12) == b"HTTP/1.1 400"
        assert other.ask(GOOD).status == 200


def test_what_ends_its_connection_is_kept_no_longer(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_HELD", 100_000)
    half = post(b"x" * 60_000)[:-1000]
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", servers.direct), timeout=20) as client:
            client.sendall(half)
            wait_for(lambda: servers.table.held_bytes > 50_000)
        wait_for(lambda: servers.table.held_bytes == 0)
    with Client(servers.direct) as other:
        assert other.ask(GOOD).status == 200
    assert shed(servers) == 0

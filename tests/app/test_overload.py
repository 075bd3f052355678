"""Row F16: ten times what is allowed, and more connections than there is room for. Figures are printed."""

from __future__ import annotations

import asyncio
import http.client
import resource
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.app.processes import free_port, server, wait_until_ready
from tests.app.servers import post

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

ALLOWED = 100
"""Requests a second for each client."""
TIMES = 10
SECONDS = 6
MAX_CONNECTIONS = 2000
GOOD = post(b'{"features": [5.1, 3.5, 1.4, 0.2]}')
BUDGET_SECONDS = 0.1


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, float]:
    """Status of one answer, and the seconds that it took."""
    began = time.perf_counter()
    writer.write(GOOD)
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split()[1]), time.perf_counter() - began


async def offer(port: int, rate: int, seconds: float, clients: int = 50) -> list[tuple[int, float]]:
    """Answers to requests that come at this rate, whatever the server makes of them."""
    found: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        step = clients / rate
        due = time.perf_counter() + step * number / clients
        ends = time.perf_counter() + seconds
        while due < ends:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            found.append(await ask(reader, writer))
            due += step
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(number) for number in range(clients)))
    return found


def p(seconds: list[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100)[percent - 1]


def test_f16_ten_times_the_rate_is_refused_at_once_and_what_is_accepted_is_as_quick_as_ever(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    port = free_port()
    limits: dict[str, Any] = {"API_WORKERS": "2", "API_RATE_LIMIT": str(ALLOWED)}
    with server(root, port, trained, tmp_path / "state", **limits) as process:
        wait_until_ready(port, process)
        answers = asyncio.run(offer(port, ALLOWED * TIMES, SECONDS))
        ended = time.perf_counter()
        while asyncio.run(offer(port, 10, 0.1, clients=1))[0][0] != 200:
            assert time.perf_counter() - ended < 5
        recovered = time.perf_counter() - ended
    accepted = [seconds for status, seconds in answers if status == 200]
    refused = [seconds for status, seconds in answers if status == 429]
    print(
        f"F16: {len(answers) / SECONDS:.0f} requests a second where {ALLOWED} are allowed: {len(accepted)} answered, "
        f"p95 {p(accepted, 95) * 1000:.1f} ms; {len(refused)} refused with 429, p99 {p(refused, 99) * 1000:.1f} ms; "
        f"others answered {recovered:.2f} s after"
    )
    assert len(answers) >= 0.9 * ALLOWED * TIMES * SECONDS
    assert len(accepted) + len(refused) == len(answers)
    # One more second of the clock may begin and end within the run.
    assert 0.8 * ALLOWED * SECONDS <= len(accepted) <= ALLOWED * (SECONDS + 1)
    assert p(refused, 99) <= BUDGET_SECONDS
    assert p(accepted, 95) <= BUDGET_SECONDS


def test_f16_connections_above_the_limit_are_refused_at_once_and_those_within_it_go_on(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    port = free_port()
    opened: list[socket.socket] = []
    refusals: list[float] = []
    try:
        with server(root, port, trained, tmp_path / "state", API_WORKERS="1") as process:
            wait_until_ready(port, process)
            kept = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            kept.request("GET", "/health")
            kept.getresponse().read()
            while len(refusals) < 200:
                began = time.perf_counter()
                client = socket.create_connection(("127.0.0.1", port), timeout=20)
                opened.append(client)
                if len(opened) >= MAX_CONNECTIONS:
                    assert client.recv(12) == b"HTTP/1.1 503"
                    refusals.append(time.perf_counter() - began)
            within = []
            for _ in range(200):
                began = time.perf_counter()
                kept.request("GET", "/health")
                assert kept.getresponse().read()
                within.append(time.perf_counter() - began)
            while opened:
                opened.pop().close()
            ended = time.perf_counter()
            while asyncio.run(offer(port, 10, 0.1, clients=1))[0][0] != 200:
                assert time.perf_counter() - ended < 5
            recovered = time.perf_counter() - ended
            kept.close()
    finally:
        for client in opened:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(
        f"F16: {MAX_CONNECTIONS} open connections and {len(refusals)} more: those refused with 503, p99 "
        f"{p(refusals, 99) * 1000:.1f} ms; one that is open answered, p95 {p(within, 95) * 1000:.1f} ms; "
        f"others let in {recovered:.2f} s after"
    )
    assert p(refusals, 99) <= BUDGET_SECONDS
    assert p(within, 95) <= BUDGET_SECONDS

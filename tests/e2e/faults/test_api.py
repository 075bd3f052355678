"""Rows F14 and F15: the API's container crashes, and its memory runs out."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.faults.figures import figure, rounds
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Checkout
    from tests.e2e.faults.real_host import RealHost

pytestmark = pytest.mark.e2e

API = "onebox-flask-api-1"
ROW = [5.1, 3.5, 1.4, 0.2]
HEALTHY_SECONDS = 15
SYNTHETIC = {"X-Synthetic": "1"}
HOGS = 300
BATCH = {"instances": [ROW] * 1000}
HUNG_SECONDS = 20


def inspected(host: RealHost) -> dict[str, Any]:
    (found,) = json.loads(host.inside("docker", "inspect", API))
    assert isinstance(found, dict)
    return found


def healthy(host: RealHost) -> bool:
    state = inspected(host)["State"]
    return bool(state["Running"] and state["Health"]["Status"] == "healthy")


def predicts(url: str, **more: Any) -> bool:
    try:
        answer = requests.post(url, json={"features": ROW}, headers=SYNTHETIC, timeout=HUNG_SECONDS, **more)
    except requests.RequestException:
        return False
    return answer.status_code == 200


def prometheus(checkout: Checkout, query: str) -> list[float]:
    """The values of an instant query."""
    url = f"{checkout.outputs()['prometheus_url']}/api/v1/query"
    answer = requests.get(url, params={"query": query}, timeout=10)
    return [float(item["value"][1]) for item in answer.json()["data"]["result"]]


def test_f14_a_crashed_api_is_back_and_its_counters_begin_anew(rehearsal: Checkout, host: RealHost) -> None:
    url = f"{rehearsal.outputs()['api_url']}/predict"
    total = "sum(prediction_requests_total)"
    took = []
    before = inspected(host)["Id"]
    for _ in range(rounds(5, 2)):
        assert all(predicts(url) for _ in range(50))
        # A scrape that has seen them, so that the beginning at 0 is a step down for Prometheus.
        wait_until(lambda: prometheus(rehearsal, total)[0] >= 50, 30)
        restarts = inspected(host)["RestartCount"]
        host.inside("kill", "-KILL", str(inspected(host)["State"]["Pid"]))
        took.append(
            wait_until(
                partial(started_again, host, url, restarts + 1),
                HEALTHY_SECONDS,
                "the API is healthy again",
            )
        )
        wait_until(lambda: prometheus(rehearsal, total)[0] < 50, 30)
    rates = prometheus(rehearsal, "rate(prediction_requests_total[2m])")
    resets = prometheus(rehearsal, "resets(prediction_requests_total[10m])")
    assert rates
    assert min(rates) >= 0
    assert max(resets) >= len(took)
    # Started again by Docker, not replaced by anybody.
    assert inspected(host)["Id"] == before
    figure(
        "F14",
        f"API's container killed with -9 {len(took)} times: healthy and predicting after at most {max(took):.1f} s; "
        f"Prometheus saw {max(resets):.0f} resets of the counters, least rate {min(rates):.2f}",
    )


def started_again(host: RealHost, url: str, starts: int) -> bool:
    """Return whether Docker has started the container this often and the API predicts."""
    return bool(inspected(host)["RestartCount"] == starts and healthy(host) and predicts(url))


def killed(host: RealHost) -> int:
    """Processes of the API that ended by SIGKILL, as its log tells, and starts of the container by Docker."""
    said = host.sh(f"docker logs {API} 2>&1")
    return len(re.findall(r"(worker \d+|recorder) ended with status -9", said)) + int(
        inspected(host)["RestartCount"]
    )


def memory(host: RealHost) -> int:
    """Bytes that the kernel charges the container with."""
    files = "/sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/memory.current"
    return int(host.sh(f"docker exec {API} sh -c 'cat {files} 2>/dev/null || true'"))


@contextmanager
def limited(host: RealHost, limit: int) -> Iterator[None]:
    """The container with a lower memory limit."""
    shipped = inspected(host)["HostConfig"]["Memory"]
    host.inside("docker", "update", f"--memory={limit}", f"--memory-swap={limit}", API)
    try:
        yield
    finally:
        host.inside("docker", "update", f"--memory={shipped}", f"--memory-swap={2 * shipped}", API)


@contextmanager
def unread(url: str, clients: int) -> Iterator[None]:
    """Clients that ask for 40 large answers each and read none of them."""
    address = urlsplit(url).hostname
    assert address
    hogs = [not_reading(address, 40) for _ in range(clients)]
    try:
        yield
    finally:
        for hog in filter(None, hogs):
            hog.close()


def restarted(host: RealHost) -> None:
    """The API anew, in the same container: memory that an earlier fault made it take is free again."""
    host.inside("docker", "restart", API)
    wait_until(lambda: healthy(host), 30, "the API is healthy")


def not_reading(address: str, requests_each: int) -> socket.socket | None:
    """A client that asks for many large answers and reads none; None when nobody listens."""
    body = json.dumps(BATCH).encode()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nX-Synthetic: 1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(5)
    try:
        client.connect((address, 5000))
    except OSError:
        client.close()
        return None
    client.setblocking(False)
    left = (head.encode() + body) * requests_each
    with contextlib.suppress(OSError):
        while left and select.select([], [client], [], 0.05)[1]:
            left = left[client.send(left) :]
    return client


def test_f15_clients_that_do_not_read_cannot_make_the_api_run_out_of_memory(
    rehearsal: Checkout, host: RealHost
) -> None:
    url = f"{rehearsal.outputs()['api_url']}/predict"
    too_big = requests.post(url, data=b"[" * 70_000, headers={"Content-Type": "application/json"}, timeout=10)
    before = killed(host)
    with unread(url, HOGS):
        used = memory(host)
        others = [predicts(url) for _ in range(20)]
    assert too_big.status_code == 413
    assert killed(host) == before
    assert used < inspected(host)["HostConfig"]["Memory"]
    assert all(others)
    figure(
        "F15",
        f"a body too large: 413. {HOGS} clients that ask for 40 answers of 1,000 rows each and read none: "
        f"{used / 2**20:.0f} MiB of 512 in use, nothing killed, {sum(others)} of {len(others)} others answered",
    )


def test_f15_what_the_kernel_kills_for_memory_is_replaced_and_nobody_hangs(
    rehearsal: Checkout, host: RealHost
) -> None:
    url = f"{rehearsal.outputs()['api_url']}/predict"
    restarted(host)
    before = killed(host)
    longest, answers, stop = [0.0], [], threading.Event()

    def ask() -> None:
        while not stop.wait(0.02):
            start = time.monotonic()
            answers.append(predicts(url))
            longest.append(time.monotonic() - start)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        # Less than the clients of the test before made it take.
        with limited(host, memory(host) + (16 << 20)), unread(url, HOGS):
            wait_until(lambda: killed(host) > before, 60, "the kernel kills something")
        took = wait_until(lambda: healthy(host) and predicts(url), HEALTHY_SECONDS, "the API is healthy")
    finally:
        stop.set()
        for client in clients:
            client.join()
    kills = killed(host) - before
    assert max(longest) < HUNG_SECONDS
    assert answers.count(True) > 0
    figure(
        "F15",
        f"the same with 16 MiB left: the kernel killed {kills} processes, all were replaced, healthy "
        f"{took:.1f} s after; of {len(answers)} others' requests {answers.count(False)} lost, "
        f"none hung, longest {max(longest):.1f} s",
    )

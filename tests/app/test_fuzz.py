"""Random bytes and random JSON against the real server: no 5xx, no missing response, no worker that dies.

Seconds in every run of the tests, an hour with `make fuzz`. The seed is printed; with it a run is the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.app.processes import children, free_port, get, server, wait_until_ready

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

SECONDS = float(os.environ.get("ONEBOX_FUZZ_SECONDS", "6"))
SEED = int(os.environ.get("ONEBOX_FUZZ_SEED") or secrets.randbelow(10**9))
EXAMPLES = 300
"""Of one kind in one round; after each the workers are counted."""
ANSWER_SECONDS = 10
WORKERS = 2
ADMIN = b"an admin's key"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LAST = re.compile(rb"content-length: (\d+)\r\nconnection: close\r\n\r\n")

paths = st.sampled_from(
    [
        *(b"/predict", b"/feedback", b"/config", b"/predictions?limit=3", b"/predictions?limit=x", b"/drift"),
        *(b"/experiment", b"/metrics", b"/health", b"/ready", b"/", b"/docs", b"/openapi.json", b"/nowhere"),
        *(b"http://x/predict", b"*", b"//", b"/%2e%2e/%00", b"/predict?a=%ff"),
    ]
)
methods = st.sampled_from(
    [b"POST", b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"get", b"PRI", b""]
)
token = st.binary(min_size=0, max_size=12)
headers = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(b"Content-Type: application/json", b"Content-Type: text/plain", b"Connection: close"),
                *(
                    b"Transfer-Encoding: chunked",
                    b"Transfer-Encoding: gzip, chunked",
                    b"Expect: 100-continue",
                ),
                *(b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 5", b"Content-Length: -1"),
                *(b"Content-Length: 99999999999999999999", b"X-Model-Version: v2", b"X-Model-Version: v9"),
                *(b"X-User-Id: \xff\xfe", b"Cookie: onebox_user=a; b", b"X-Synthetic: maybe", b"Host:"),
                *(b"X-Request-ID: a b", b"Origin: https://x", b"Access-Control-Request-Method: POST"),
                *(
                    b"Authorization: Bearer " + ADMIN,
                    b"Authorization: Basic x",
                    b" folded",
                    b"a_b: c",
                    b": x",
                ),
            ]
        ),
        st.tuples(token, token).map(b": ".join),
    ),
    max_size=8,
)
numbers = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from([5.1, 0.2, -1, 1e308, 10**400, "NaN", "5.1", None, True]),
)
names = st.sampled_from(
    [
        "features",
        "instances",
        "weights",
        "v1",
        "v2",
        "prediction_id",
        "label",
        "sepal length (cm)",
        "\x00",
        "é",
    ]
)
values = st.recursive(
    st.one_of(numbers, st.text(max_size=20), st.binary(max_size=4).map(repr)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.one_of(names, st.text(max_size=8)), inner, max_size=5)
    ),
    max_leaves=25,
)
good = st.tuples(st.floats(4.5, 7.5), st.floats(2.2, 4), st.floats(1.2, 6.5), st.floats(0.2, 2.4)).map(list)
rows = st.one_of(good, st.lists(numbers, min_size=3, max_size=5))
bodies = st.one_of(
    rows.map(lambda row: {"features": row}),
    st.lists(rows, max_size=4).map(lambda found: {"instances": found}),
    st.tuples(st.one_of(st.integers(0, 100), numbers), numbers).map(
        lambda pair: {"weights": {"v1": pair[0], "v2": pair[1]}}
    ),
    st.tuples(st.one_of(st.text(alphabet="0123456789abcdef", min_size=31, max_size=33), values), values).map(
        lambda pair: {"prediction_id": pair[0], "label": pair[1]}
    ),
    values,
).map(lambda value: json.dumps(value).encode())
spoilt = st.tuples(bodies, st.integers(0, 200), token).map(
    lambda of: of[0][: of[1]] + of[2] + of[0][of[1] + 1 :]
)


def request_of(method: bytes, path: bytes, body: bytes, *more: bytes) -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: x", b"X-Synthetic: 1"]
    lines += [b"Content-Type: application/json", b"Authorization: Bearer " + ADMIN, *more]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


whole = st.builds(
    request_of,
    st.sampled_from([b"POST", b"POST", b"POST", b"PUT"]),
    st.sampled_from([b"/predict", b"/predict", b"/feedback", b"/config"]),
    st.one_of(
        bodies, bodies, spoilt, st.just(b"[" * 60_000), st.just(b'{"features":[' + b"1," * 20_000 + b"1]}")
    ),
)
odd = st.builds(
    lambda method, path, version, lines, body: b"\r\n".join(
        [b" ".join([method, path, version]), b"Host: x", *lines, b"", body]
    ),
    methods,
    st.one_of(paths, token),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"HTTP/1.1\n", b""]),
    headers,
    st.one_of(
        bodies, st.just(b"5\r\nhello\r\n0\r\n\r\n"), st.just(b"FFFFFFFFF\r\nx"), st.just(b"-1\r\n"), token
    ),
)
chunked = bodies.map(
    lambda body: (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
        + b"0\r\n\r\n"
    )
)
bytes_sent = st.lists(st.one_of(whole, odd, chunked, st.binary(max_size=200)), min_size=1, max_size=3)
cuts = st.lists(st.integers(0, 400), max_size=3).map(sorted)


@dataclass
class Found:
    """What came of a run."""

    port: int
    statuses: Counter[int] = field(default_factory=Counter)
    examples: int = 0

    def ask(self, sent: bytes, cut: list[int]) -> None:
        """Send in pieces and end; every answer comes, and none is the server's fault."""
        self.examples += 1
        answers = exchange(self.port, sent, cut)
        found = [int(status) for status in STATUS.findall(answers)]
        self.statuses.update(found)
        assert all(status < 500 for status in found), (sent, answers[-500:])


def exchange(port: int, sent: bytes, cut: list[int]) -> bytes:
    """All that the server says until it ends the connection; TimeoutError when it never does."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client:
        try:
            for first, last in zip([0, *cut], [*cut, len(sent)], strict=True):
                client.sendall(sent[first:last])
            client.shutdown(socket.SHUT_WR)
            while True:
                more = client.recv(1 << 16)
                received += more
                last_one = LAST.search(received)
                # What it refuses it lingers on, for clients that are still sending.
                if not more or (last_one and len(received) - last_one.end() >= int(last_one[1])):
                    return received
        except (ConnectionResetError, BrokenPipeError):
            return received


def one_round(found: Found, number: int, strategy: Any) -> None:
    @seed(SEED + number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy, cuts)
    def draw(sent: Any, cut: list[int]) -> None:
        found.ask(b"".join(sent) if isinstance(sent, list) else sent, cut)

    draw()


@pytest.mark.timeout(SECONDS + 120)
def test_drawn_requests_never_bring_a_5xx_and_never_end_a_worker(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    port = free_port()
    keys = tmp_path / "admin_keys"
    keys.write_text(hashlib.sha256(ADMIN).hexdigest())
    log = (tmp_path / "log").open("w+")
    limits = {"API_WORKERS": str(WORKERS), "ONEBOX_ADMIN_KEYS_FILE": str(keys), "API_ACCESS_LOG": "off"}
    began = time.monotonic()
    found = Found(port)
    print(f"seed {SEED}")
    with log, server(root, port, trained, tmp_path / "state", stdout=log, **limits) as process:
        wait_until_ready(port, process)
        born = children(process.pid)
        number = 0
        while number < 2 or time.monotonic() - began < SECONDS:
            one_round(found, number, whole if number % 2 else bytes_sent)
            number += 1
            if number % 50 == 0:
                print(f"  {found.examples} after {time.monotonic() - began:.0f} s", flush=True)
            assert children(process.pid) == born, "a process of the server died"
            assert get(port, "/ready")[0] == 200
    said = (tmp_path / "log").read_text()
    print(
        f"{found.examples} drawn in {time.monotonic() - began:.0f} s, {number} rounds, no 5xx, no worker dead: "
        f"{dict(sorted(found.statuses.items()))}"
    )
    assert found.statuses[200] > 0
    assert found.statuses[400] > 0
    assert "unhandled error" not in said

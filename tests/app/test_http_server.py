"""The HTTP server on real sockets: the same responses as through Flask, valid and malformed HTTP."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.http import protocol as http1
from app.http.request_parser import MAX_HEADERS
from app.settings import ApiSettings
from app.wire.body import MAX_BODY
from tests.app.servers import Client, Servers, post, running
from tests.app.test_bad_input import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


@pytest.fixture(scope="module")
def servers(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running(ApiSettings(models_dir=trained, state_dir=tmp_path_factory.mktemp("state"))) as both:
        yield both


def same(servers: Servers, content: bytes) -> int:
    """The status of both servers' answer, which must be the same in every byte that does not count time or requests."""
    with Client(servers.direct) as one, Client(servers.by_app) as other:
        # Twice: the second time the head is known.
        answers = [client.ask(content) for client in (one, other) for _ in range(2)]
    assert len(set(answers)) == 1, answers
    return answers[0].status


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_gets_the_same_answer_as_through_flask(case: str, servers: Servers) -> None:
    assert same(servers, post(CASES[case][0])) in (CASES[case][1], 400)


@pytest.mark.parametrize(
    "headers",
    [
        ("X-User-Id: anna",),
        ("X-User-Id: a\xe4\xf6",),
        ("X-User-Id: ",),
        ("X-User-Id: a", "X-User-Id: b"),
        ("Cookie: onebox_user=bert",),
        ("Cookie: a=1", "Cookie: onebox_user=bert"),
        ("X-Model-Version: v2",),
        ("X-Model-Version: v3",),
        ("X-Synthetic: 1",),
        ("X-Synthetic: x",),
        ("Content-Type: text/plain",),
        ("Content-Type: Application/JSON; charset=utf-8",),
        ("X_User_Id: anna",),
    ],
)
def test_headers_get_the_same_answer_as_through_flask(headers: tuple[str, ...], servers: Servers) -> None:
    assert same(servers, post(GOOD, *headers)) in (200, 415, 422)


numbers = st.floats(-25, 50) | st.integers(-20, 40) | st.sampled_from([1e999, float("nan"), True, None, "5"])
rows = st.lists(numbers, max_size=5) | st.lists(st.floats(0, 6), min_size=4, max_size=4)
bodies = (
    st.builds(lambda row: json.dumps({"features": row}).encode(), rows)
    | st.builds(lambda many: json.dumps({"instances": many}).encode(), st.lists(rows, max_size=4))
    | st.builds(
        lambda value: json.dumps(value).encode(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.sampled_from(["features", "instances", "sepal width (cm)"]), inner)
            ),
            max_leaves=6,
        ),
    )
    | st.binary(max_size=60)
)


def test_any_body_gets_the_same_answer_as_through_flask(servers: Servers) -> None:
    seen: dict[int, int] = {}
    with Client(servers.direct) as one, Client(servers.by_app) as other:

        @settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
        @given(body=bodies)
        def compare(body: bytes) -> None:
            content = post(body)
            answer = one.ask(content)
            assert answer == other.ask(content)
            seen[answer.status] = seen.get(answer.status, 0) + 1

        compare()
    print(f"answers by status: {seen}")
    assert set(seen) == {200, 400, 422}


def test_pipelined_requests_are_answered_in_their_order(servers: Servers) -> None:
    # Good ones wait for the others of their turn, refused ones do not, and /health goes through Flask.
    order = [
        post(GOOD),
        post(b"{}"),
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        post(GOOD, "X-Model-Version: v2"),
    ]
    with Client(servers.direct) as client:
        client.send(b"".join(order * 20))
        assert [client.reply().status for _ in range(80)] == [200, 422, 200, 200] * 20


def test_a_request_in_single_bytes_and_in_chunks_is_read(servers: Servers) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (GOOD[:7], GOOD[7:9], GOOD[9:]))
    chunked = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunks
        + b"0\r\n\r\n"
    )
    with Client(servers.direct) as client:
        for content in (post(GOOD), chunked):
            for position in range(len(content)):
                client.send(content[position : position + 1])
            assert client.reply().status == 200
        assert client.ask(chunked).status == 200


def test_a_client_that_waits_for_100_is_told_to_go_on(servers: Servers) -> None:
    content = post(GOOD, "Expect: 100-continue")
    with Client(servers.direct) as client:
        client.send(content[: -len(GOOD)])
        assert client._socket is not None
        assert client._socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(GOOD).status == 200


def test_connections_are_kept_or_closed_as_the_client_says(servers: Servers) -> None:
    with Client(servers.direct) as client:
        assert ("connection", "close") not in client.ask(post(GOOD)).headers
        assert ("connection", "close") in client.ask(post(GOOD, "Connection: close")).headers
        old = post(GOOD).replace(b"HTTP/1.1", b"HTTP/1.0")
        assert ("connection", "close") in client.ask(old).headers


def test_head_has_no_body_and_the_length_of_get(servers: Servers) -> None:
    with Client(servers.direct) as client:
        get = client.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        client.send(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client._socket is not None
        content = b""
        while content.count(b"HTTP/1.1 200") < 2 or not content.endswith(get.body):
            content += client._socket.recv(65536)
        head, following, *_ = content.split(b"\r\n\r\n")
        assert b"content-length: %d" % len(get.body) in head.split(b"\r\n")
        assert following.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"POST /predict HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        (post(GOOD, "Transfer-Encoding: chunked"), 400),
        (post(GOOD, "Content-Length: 5"), 400),
        (post(GOOD, "Bad Header: 1"), 400),
        (post(GOOD, "X: a\x00b"), 400),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (post(GOOD, "X: " + "a" * 9000), 431),
        (post(GOOD, *(f"X-{number}: 1" for number in range(MAX_HEADERS + 1))), 431),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, 431),
        (b"GET /" + b"a" * 40_000, 431),
        (post(b" " * (MAX_BODY + 1)), 413),
        (post(b"")[:-21] + b"Content-Length: 99999999999\r\n\r\n", 413),
    ],
)
def test_what_is_not_a_request_is_a_problem_and_ends_the_connection(
    content: bytes, status: int, servers: Servers
) -> None:
    with Client(servers.direct) as client:
        answer = client.ask(content)
    assert answer.status == status
    assert ("content-type", "application/problem+json") in answer.headers
    assert ("connection", "close") in answer.headers
    assert json.loads(answer.body)["status"] == status


def test_a_chunked_body_without_end_is_refused_at_the_limit(servers: Servers) -> None:
    start = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Client(servers.direct) as client:
        client.send(start + b"8000\r\n" + b" " * 0x8000 + b"\r\n8000\r\n" + b" " * 0x8000 + b"\r\n8\r\n")
        client.send(b" " * 8)
        assert client.reply().status == 413


def test_a_body_that_ends_early_is_refused(servers: Servers) -> None:
    with Client(servers.direct) as client:
        client.send(post(GOOD)[:-5])
        client.end()
        assert client.reply().status == 400


def test_a_client_that_has_said_all_still_gets_its_answer(servers: Servers) -> None:
    with Client(servers.direct) as client:
        client.send(post(GOOD))
        client.end()
        assert client.reply().status == 200


def test_a_request_that_does_not_end_is_given_up_and_an_idle_connection_closed(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = []
    opened = http1.Connection.connection_made

    def remember(self: http1.Connection, transport: object) -> None:
        connections.append(self)
        opened(self, transport)  # type: ignore[arg-type]

    monkeypatch.setattr(http1.Connection, "connection_made", remember)
    with Client(servers.direct) as slow, Client(servers.direct) as idle:
        slow.send(post(GOOD)[:-5])
        assert idle.ask(post(GOOD)).status == 200
        deadline = time.monotonic() + 10
        while len(connections) < 2 or connections[0]._parser.head is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for connection in connections:
            servers.loop.call_soon_threadsafe(connection.time_out)
        assert slow.reply().status == 408
        with pytest.raises(EOFError):
            idle.reply()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-1.2_3", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("<script>", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/health"])
def test_a_request_id_comes_back_and_a_bad_one_is_replaced(
    given: str, kept: bool, path: str, servers: Servers
) -> None:
    method = "POST" if path == "/predict" else "GET"
    content = post(GOOD, f"X-Request-ID: {given}", path=path).replace(b"POST", method.encode(), 1)
    with Client(servers.direct) as client:
        client.send(content)
        assert client._socket is not None
        head = client._socket.recv(65536).partition(b"\r\n\r\n")[0].decode()
    (found,) = [line.split(": ")[1] for line in head.split("\r\n") if line.startswith("x-request-id: ")]
    assert (found == given) is kept
    assert kept or len(found) == 32


def test_every_answer_carries_the_security_headers(servers: Servers) -> None:
    asked = [
        post(GOOD),
        post(b""),
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    with Client(servers.direct) as client:
        for content in asked:
            headers = dict(client.ask(content).headers)
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "default-src 'none'" in headers["content-security-policy"]

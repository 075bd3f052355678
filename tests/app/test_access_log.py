"""The access log: which requests are logged, the fields of a line, lines stay whole."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from app.http.access_log import ATOMIC, MOST, AccessLog
from app.http.messages import Head
from app.settings import ACCESS_LOG_MODES
from tests.app.processes import free_port, server, wait_until_ready
from tests.app.servers import Client, post

if TYPE_CHECKING:
    from pathlib import Path

GOOD = post(b'{"features": [5.1, 3.5, 1.4, 0.2]}', "X-Request-ID: mine")


def lines_of(log: AccessLog, chunks: list[bytes]) -> list[dict[str, Any]]:
    log.write(*log.take())
    return [json.loads(line) for line in b"".join(chunks).splitlines()]


def head_of(target: bytes) -> Head:
    head = Head()
    head.method, head.target = b"POST", target
    return head


@pytest.mark.parametrize(("mode", "kept"), [("off", []), ("errors", [400, 503]), ("all", [200, 400, 503])])
def test_the_mode_says_which_requests_leave_a_line(mode: str, kept: list[int]) -> None:
    chunks: list[bytes] = []
    log = AccessLog(ACCESS_LOG_MODES[mode], chunks.append)
    for status in (200, 400, 503):
        log.add(b"id", head_of(b"/predict"), status, time.perf_counter(), "v1", "192.0.2.7")
    assert [line["status"] for line in lines_of(log, chunks)] == kept


def test_a_line_says_all_that_is_known_and_no_query() -> None:
    chunks: list[bytes] = []
    log = AccessLog(0, chunks.append)
    log.add(b"id", head_of(b"/predict?token=secret"), 200, time.perf_counter() - 0.5, "v2", "192.0.2.7")
    (line,) = lines_of(log, chunks)
    assert 500 <= line.pop("ms") < 5000
    assert time.strptime(line.pop("time")[:19], "%Y-%m-%dT%H:%M:%S")
    assert line == {
        "level": "INFO",
        "logger": "access",
        "request_id": "id",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "version": "v2",
        "client": "192.0.2.7",
    }


def test_what_was_not_http_leaves_a_line_too() -> None:
    chunks: list[bytes] = []
    log = AccessLog(400, chunks.append)
    log.add(b"id", None, 400, None, None, "192.0.2.7")
    (line,) = lines_of(log, chunks)
    assert (line["method"], line["path"], line["ms"], line["status"]) == (None, None, None, 400)


def test_no_write_is_larger_than_what_a_pipe_takes_as_one_and_none_ends_within_a_line() -> None:
    chunks: list[bytes] = []
    log = AccessLog(0, chunks.append)
    for number in range(500):
        log.add(b"id", head_of(b"/\xff\x00\n" * number), 200, None, None, "192.0.2.7")
    assert len(lines_of(log, chunks)) == 500
    assert max(map(len, chunks)) <= ATOMIC
    assert all(chunk.endswith(b"\n") for chunk in chunks)


def test_what_is_too_much_to_keep_is_counted() -> None:
    chunks: list[bytes] = []
    log = AccessLog(0, chunks.append)
    for _ in range(MOST + 7):
        log.add(b"id", None, 400, None, None, "")
    lines = lines_of(log, chunks)
    assert len(lines) == MOST + 1
    assert lines[-1] == {"logger": "access", "dropped": 7}


@pytest.mark.process
@pytest.mark.parametrize(("mode", "statuses"), [("all", [200, 404, 415, 400]), ("errors", [404, 415, 400])])
def test_the_real_server_writes_them_before_it_ends(
    root: Path, trained: Path, tmp_path: Path, mode: str, statuses: list[int]
) -> None:
    port = free_port()
    with server(root, port, trained, tmp_path / "state", API_WORKERS="1", API_ACCESS_LOG=mode) as process:
        wait_until_ready(port, process)
        with Client(port) as client:
            client.ask(GOOD)
            client.ask(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
            client.ask(post(b"{}", "Content-Type: text/plain"))
            client.ask(b"nonsense\r\n\r\n")
        said = finish(process)
    lines = [json.loads(line) for line in said.splitlines()]
    found = [line for line in lines if line["logger"] == "access" and line["path"] != "/ready"]
    assert [line["status"] for line in found] == statuses
    assert {line["client"] for line in found} == {"127.0.0.1"}
    if mode == "all":
        assert (found[0]["request_id"], found[0]["path"]) == ("mine", "/predict")
        assert found[0]["version"] in ("v1", "v2")
        assert 0 < found[0]["ms"] < 1000


def finish(process: subprocess.Popen[str]) -> str:
    process.terminate()
    said, _ = process.communicate(timeout=30)
    return said

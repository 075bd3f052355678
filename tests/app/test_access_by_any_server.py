"""Access control, security headers and request ids are the same under every WSGI server and in the server's fast path.

The same requests go to werkzeug's test client, to wsgiref's server and to both ports of our own server.
"""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from app import create_app
from app.settings import ApiSettings
from app.wire.body import MAX_BODY
from tests.app.servers import PASSING, running
from tests.app.test_access_control import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask

GOOD = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
JSON = {"Content-Type": "application/json"}
KEY, BOSS = {"Authorization": "Bearer one"}, {"X-API-Key": "boss"}
WRONG = {"Authorization": "Bearer two"}
FRIEND, STRANGER = {"Origin": "https://good.example"}, {"Origin": "https://evil.example"}
PREFLIGHT = {"Access-Control-Request-Method": "POST"}
EVIL_HOST = {"Host": "evil.example"}
COMPARED = frozenset(
    {
        *(
            "content-type",
            "content-length",
            "allow",
            "www-authenticate",
            "retry-after",
            "vary",
            "cache-control",
        ),
        *("x-content-type-options", "referrer-policy", "content-security-policy", "access-control-max-age"),
        *("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"),
    }
)


@dataclass(frozen=True)
class Case:
    status: int
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


CASES = {
    "no key": Case(401, "POST", "/predict", JSON, GOOD),
    "wrong key": Case(401, "POST", "/predict", JSON | {"X-API-Key": "two"}, GOOD),
    "not a bearer": Case(401, "POST", "/predict", JSON | {"Authorization": "Basic one"}, GOOD),
    "key": Case(200, "POST", "/predict", JSON | KEY, GOOD),
    "admin key": Case(200, "POST", "/predict", JSON | BOSS, GOOD),
    "no key, with a query": Case(401, "POST", "/predict?x=1", JSON, GOOD),
    "key, with a query": Case(200, "POST", "/predict?x=1", JSON | KEY, GOOD),
    "no key, percent-encoded": Case(401, "POST", "/pr%65dict", JSON, GOOD),
    "key, percent-encoded": Case(200, "POST", "/pr%65dict", JSON | KEY, GOOD),
    "key, wrong body": Case(422, "POST", "/predict", JSON | KEY, b"{}"),
    "key, wrong type": Case(415, "POST", "/predict", KEY, GOOD),
    "key, wrong method": Case(405, "GET", "/predict", KEY),
    "key, no such page": Case(404, "GET", "/nowhere", KEY),
    "no key, no such page": Case(401, "GET", "/nowhere"),
    "no key, log": Case(401, "GET", "/predictions"),
    "no key, feedback": Case(401, "POST", "/feedback", JSON, b"{}"),
    "no key, config": Case(200, "GET", "/config"),
    "no key, change of config": Case(401, "PUT", "/config", JSON, b"{}"),
    "key that is no admin's, change of config": Case(401, "PUT", "/config", JSON | KEY, b"{}"),
    "admin key, wrong change of config": Case(422, "PUT", "/config", JSON | BOSS, b"{}"),
    "no key, index": Case(200, "GET", "/"),
    "no key, page with a policy of its own": Case(200, "GET", "/docs"),
    "no key, probe": Case(200, "GET", "/health"),
    "no key, percent-encoded probe": Case(200, "GET", "/%68ealth"),
    "other host": Case(400, "POST", "/predict", JSON | KEY | EVIL_HOST, GOOD),
    "other host, page": Case(400, "GET", "/docs", EVIL_HOST),
    "other host, probe": Case(200, "GET", "/ready", EVIL_HOST),
    "trusted host with a port": Case(200, "GET", "/docs", {"Host": "Models.example.com:5000"}),
    "allowed origin": Case(200, "POST", "/predict", JSON | KEY | FRIEND, GOOD),
    "other origin": Case(200, "POST", "/predict", JSON | KEY | STRANGER, GOOD),
    "allowed origin, no key": Case(401, "POST", "/predict", JSON | FRIEND, GOOD),
    "preflight of an allowed origin": Case(200, "OPTIONS", "/predict", PREFLIGHT | FRIEND),
    "preflight of another origin": Case(200, "OPTIONS", "/predict", PREFLIGHT | STRANGER),
    "preflight of another host": Case(400, "OPTIONS", "/predict", PREFLIGHT | FRIEND | EVIL_HOST),
    "options without a preflight": Case(200, "OPTIONS", "/predict"),
    "options, no such page": Case(404, "OPTIONS", "/nowhere"),
    "right key beside a wrong bearer": Case(
        401, "POST", "/predict", JSON | WRONG | {"X-API-Key": "one"}, GOOD
    ),
    "wrong key beside a right bearer": Case(200, "POST", "/predict", JSON | KEY | {"X-API-Key": "two"}, GOOD),
    "bearer without a key": Case(401, "POST", "/predict", JSON | BOSS | {"Authorization": "Bearer"}, GOOD),
    "empty key": Case(401, "POST", "/predict", JSON | {"X-API-Key": ""}, GOOD),
    "key that is not ASCII": Case(401, "POST", "/predict", JSON | {"X-API-Key": "\xe9ne"}, GOOD),
    "header names in lower case": Case(
        200, "POST", "/predict", {name.lower(): value for name, value in (JSON | KEY).items()}, GOOD
    ),
    "key, percent-encoded twice": Case(404, "POST", "/pr%2565dict", JSON | KEY, GOOD),
    "key, path with a slash at its end": Case(404, "POST", "/predict/", JSON | KEY, GOOD),
    "no key, path to a probe and back": Case(401, "POST", "/health/../predict", JSON, GOOD),
    "no key, below a probe": Case(401, "GET", "/health/"),
    "no key, head of the config": Case(401, "HEAD", "/config"),
    "no key, head of a page": Case(200, "HEAD", "/docs"),
    "key, empty body": Case(400, "POST", "/predict", JSON | KEY),
    "key, body over the limit": Case(413, "POST", "/predict", JSON | KEY, b" " * (MAX_BODY + 1)),
    "key, method in another header": Case(
        405, "GET", "/predict", KEY | {"X-HTTP-Method-Override": "POST"}, GOOD
    ),
    "trusted host in another header": Case(
        400, "POST", "/predict", JSON | KEY | EVIL_HOST | {"X-Forwarded-Host": "localhost"}, GOOD
    ),
    "two hosts in one": Case(400, "POST", "/predict", JSON | KEY | {"Host": "localhost, evil.example"}, GOOD),
    "two ports": Case(400, "POST", "/predict", JSON | KEY | {"Host": "localhost:80:80"}, GOOD),
}


@contextmanager
def served(app: Flask) -> Iterator[int]:
    """The port of wsgiref's server with this application."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found.server_port
        finally:
            found.shutdown()
            thread.join()


@contextmanager
def all_ways(settings: ApiSettings) -> Iterator[dict[str, Callable[[Case], Response]]]:
    with running(settings) as servers, served(servers.worker.app) as port:
        client = servers.worker.app.test_client()

        def by_client(case: Case) -> Response:
            answer = client.open(case.path, method=case.method, headers=case.headers, data=case.body)
            return response(answer.status_code, answer.headers.items(), answer.data)

        yield {
            "werkzeug's test client": by_client,
            "wsgiref": lambda case: by_socket(port, case),
            "our server": lambda case: by_socket(servers.direct, case),
            "our server, without its fast path": lambda case: by_socket(servers.by_app, case),
        }


def by_socket(port: int, case: Case) -> Response:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(case.method, case.path, case.body, case.headers)
        found = connection.getresponse()
        return response(found.status, found.headers.items(), found.read())
    finally:
        connection.close()


def response(status: int, headers: object, body: bytes) -> Response:
    found = {name.lower(): value for name, value in headers}  # type: ignore[attr-defined]
    return Response(status, found, PASSING.sub(b'"prediction_id":""', body))


@pytest.fixture(scope="module")
def ways(
    trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Callable[[Case], Response]]]:
    settings = ApiSettings(
        models_dir=trained,
        state_dir=tmp_path_factory.mktemp("state"),
        keys=keys("one"),
        admin_keys=keys("boss"),
        trusted_hosts=frozenset({"models.example.com"}),
        cors_origins=frozenset({"https://good.example"}),
    )
    with all_ways(settings) as found:
        yield found


@pytest.mark.parametrize("name", CASES)
def test_every_server_gives_the_same_response(name: str, ways: dict[str, Callable[[Case], Response]]) -> None:
    case = CASES[name]
    found = {way: ask(case) for way, ask in ways.items()}
    expected = found["our server"]
    assert {way: answer.status for way, answer in found.items()} == dict.fromkeys(found, case.status)
    assert {way: answer.body for way, answer in found.items()} == dict.fromkeys(found, expected.body)
    compared = {
        way: {header: value for header, value in answer.headers.items() if header in COMPARED}
        for way, answer in found.items()
    }
    assert compared == dict.fromkeys(found, compared["our server"])
    assert expected.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in expected.headers["content-security-policy"]
    assert all(len(answer.headers["x-request-id"]) == 32 for answer in found.values())


@pytest.mark.parametrize("path", ["/predict", "/health"])
def test_every_server_returns_a_well_formed_request_id_and_replaces_another(
    path: str, ways: dict[str, Callable[[Case], Response]]
) -> None:
    for given, kept in (("abc-1.2_3", True), ("a b", False)):
        for ask in ways.values():
            answer = ask(Case(0, "POST", path, JSON | KEY | {"X-Request-ID": given}, GOOD))
            assert (answer.headers["x-request-id"] == given) is kept


def test_every_server_limits_the_rate_of_a_client(trained: Path, tmp_path: Path) -> None:
    case = Case(429, "POST", "/predict", JSON, GOOD)
    with all_ways(ApiSettings(models_dir=trained, state_dir=tmp_path, rate_limit=2)) as ways:
        for ask in ways.values():
            deadline = time.monotonic() + 10
            answer = ask(case)
            # Three in the same second of the clock: soon, however the seconds fall.
            while answer.status == 200:
                assert time.monotonic() < deadline
                answer = ask(case)
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            assert ask(Case(200, "GET", "/health")).status == 200


def test_a_request_without_a_key_does_not_reach_the_models_of_an_application(
    trained: Path, tmp_path: Path
) -> None:
    client = create_app(ApiSettings(models_dir=trained, state_dir=tmp_path, keys=keys("one"))).test_client()
    assert [client.post("/predict", data=GOOD, headers=JSON).status_code for _ in range(3)] == [401] * 3
    text = client.get("/metrics").text
    assert "prediction_requests_total 0.0" in text
    assert 'invalid_requests_total{reason="unauthorized"} 3.0' in text

"""Access control and changes of the split, on real sockets."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from app.errors import SettingsError
from app.http.rate_limit import RateLimit, client_of
from app.keys import Keys, presented
from app.settings import ApiSettings
from app.traffic.split import AUDIT
from tests.app.servers import Client, Reply, post, running

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


def keys(*names: str) -> Keys:
    return Keys(tuple(hashlib.sha256(name.encode()).hexdigest() for name in names))


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def put(body: bytes, *headers: str) -> bytes:
    return post(body, *headers, path="/config").replace(b"POST", b"PUT", 1)


def ask(port: int, content: bytes) -> Reply:
    with Client(port) as client:
        return client.ask(content)


def config(port: int) -> dict[str, object]:
    found = json.loads(ask(port, get("/config")).body)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("direct", [True, False])
def test_with_keys_only_their_holders_get_predictions(direct: bool, trained: Path, tmp_path: Path) -> None:
    settings = ApiSettings(
        models_dir=trained, state_dir=tmp_path, keys=keys("one", "two"), admin_keys=keys("boss")
    )
    with running(settings) as servers:
        port = servers.direct if direct else servers.by_app
        for headers in (
            (),
            ("Authorization: Bearer wrong",),
            ("Authorization: Bearer",),
            ("Authorization: Basic b25l",),
            ("Authorization: one",),
            ("X-API-Key: ",),
            ("X-API-Key: \xff",),
            ("Authorization: Bearer one, Bearer two",),
        ):
            answer = ask(port, post(GOOD, *headers))
            assert answer.status == 401, headers
            assert ("www-authenticate", 'Bearer realm="onebox"') in answer.headers
        for header in (
            "Authorization: Bearer one",
            "authorization: bearer two",
            "X-API-Key: one",
            "X-API-Key: boss",
        ):
            assert ask(port, post(GOOD, header)).status == 200
        for path in ("/health", "/ready", "/metrics", "/", "/config"):
            assert ask(port, get(path)).status == 200
        assert b'invalid_requests_total{reason="unauthorized"} 8.0' in ask(port, get("/metrics")).body


def test_the_split_is_changed_by_an_admin_for_all_and_for_good(trained: Path, tmp_path: Path) -> None:
    settings = ApiSettings(models_dir=trained, state_dir=tmp_path, admin_keys=keys("boss"))
    admin = "Authorization: Bearer boss"
    with running(settings) as servers:
        assert json.loads(ask(servers.direct, post(GOOD)).body)["model_version"] == "v1"
        answer = ask(servers.direct, put(b'{"weights": {"v1": 0, "v2": 100}}', admin))
        assert answer.status == 200
        assert json.loads(answer.body)["weights"] == {"v1": 0, "v2": 100}
        assert json.loads(ask(servers.direct, post(GOOD)).body)["model_version"] == "v2"
    with running(settings) as servers:
        found = config(servers.direct)
        assert (found["weights"], found["pushed_weights"]) == ({"v1": 0, "v2": 100}, {"v1": 50, "v2": 50})
        assert found["changed"]
        assert ask(servers.direct, put(b'{"weights": null}', admin)).status == 200
        assert config(servers.direct)["weights"] == {"v1": 50, "v2": 50}
        assert config(servers.direct)["changed"] is None
    lines = [json.loads(line) for line in (tmp_path / "data" / AUDIT).read_text().splitlines()]
    assert [line["after"] for line in lines] == [[0, 100], [50, 50]]
    assert all("127.0.0.1" in line["by"] and "boss" not in line["by"] for line in lines)


def test_what_is_no_change_of_the_split_is_refused(trained: Path, tmp_path: Path) -> None:
    settings = ApiSettings(models_dir=trained, state_dir=tmp_path, admin_keys=keys("boss"), keys=keys("one"))
    admin = "Authorization: Bearer boss"
    with running(settings) as servers:
        for body, status in (
            (b"", 400),
            (b"{", 400),
            (b"{}", 422),
            (b'{"weights": {"v1": 0, "v2": 0}}', 422),
            (b'{"weights": {"v1": -1, "v2": 5}}', 422),
            (b'{"weights": {"v1": 101, "v2": 5}}', 422),
            (b'{"weights": {"v1": 0.5, "v2": 5}}', 422),
            (b'{"weights": {"v1": true, "v2": 5}}', 422),
            (b'{"weights": {"v1": "5", "v2": 5}}', 422),
            (b'{"weights": {"v1": 5}}', 422),
            (b'{"weights": {"v1": 5, "v2": 5, "v3": 5}}', 422),
        ):
            assert ask(servers.direct, put(body, admin)).status == status, body
        good = b'{"weights": {"v1": 1, "v2": 2}}'
        assert ask(servers.direct, put(good)).status == 401
        assert ask(servers.direct, put(good, "Authorization: Bearer one")).status == 401
        assert config(servers.direct)["changed"] is None
    with running(ApiSettings(models_dir=trained, state_dir=tmp_path / "no")) as servers:
        assert ask(servers.direct, put(good, admin)).status == 403


def test_a_client_over_its_rate_is_told_so_and_probes_are_not(trained: Path, tmp_path: Path) -> None:
    settings = ApiSettings(models_dir=trained, state_dir=tmp_path, rate_limit=5)
    with running(settings) as servers, Client(servers.direct) as client:
        statuses = [
            client.ask(post(GOOD, f"X-Forwarded-For: 192.0.2.{number}")).status for number in range(40)
        ]
        # However the seconds fall: some of each, and the address that a client claims changes nothing.
        assert set(statuses) == {200, 429}
        assert statuses.count(200) <= 15
        assert client.ask(get("/health")).status == 200
        refused = client.ask(post(GOOD))
        while refused.status == 200:
            refused = client.ask(post(GOOD))
        assert ("retry-after", "1") in refused.headers


def test_the_rate_holds_over_all_workers_and_not_over_other_clients(tmp_path: Path) -> None:
    workers = [RateLimit(tmp_path / "rate.bin", workers=4, number=n, per_second=10) for n in range(4)]
    allowed = [workers[turn % 4].allows("192.0.2.1", 7) for turn in range(40)]
    assert allowed == [True] * 10 + [False] * 30
    assert workers[0].allows("192.0.2.2", 7)
    assert workers[0].allows("192.0.2.1", 8)


def test_an_ipv6_customer_is_one_client() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1") != client_of("2001:db8:0:1::1")
    assert client_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert client_of("192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    "peer", ["", "unix:", "192.0.2.1:80", "192.0.2.1:81", "[2001:db8::1]:80", "::x", "a:b"]
)
def test_peers_that_are_no_address_are_one_client(peer: str) -> None:
    assert client_of(peer) == ""


@pytest.mark.parametrize("direct", [True, False])
def test_only_allowed_origins_may_read_answers_in_a_browser(
    direct: bool, trained: Path, tmp_path: Path
) -> None:
    origins = frozenset({"https://good.example"})
    settings = ApiSettings(models_dir=trained, state_dir=tmp_path, cors_origins=origins, keys=keys("one"))
    with running(settings) as servers:
        port = servers.direct if direct else servers.by_app
        for origin, allowed in (
            ("https://good.example", True),
            ("https://evil.example", False),
            ("null", False),
        ):
            preflight = post(b"", f"Origin: {origin}", "Access-Control-Request-Method: POST").replace(
                b"POST", b"OPTIONS", 1
            )
            for content in (preflight, post(GOOD, f"Origin: {origin}", "X-API-Key: one")):
                answer = ask(port, content)
                assert answer.status == 200
                assert (("access-control-allow-origin", origin) in answer.headers) is allowed
                assert ("vary", "origin") in answer.headers


@pytest.mark.parametrize("content", ["secret", "A" * 64, "a" * 63, "a" * 64 + "\nsecret"])
def test_a_key_file_with_anything_but_hashes_is_refused_without_showing_it(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(content)
    with pytest.raises(SettingsError) as caught:
        ApiSettings.from_environ({"ONEBOX_API_KEYS_FILE": str(tmp_path / "keys")})
    assert "secret" not in str(caught.value)


def test_an_empty_key_file_is_no_keys_and_a_missing_one_an_error(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\n")
    assert ApiSettings.from_environ({"ONEBOX_API_KEYS_FILE": str(tmp_path / "keys")}).keys is None
    with pytest.raises(SettingsError, match="ONEBOX_ADMIN_KEYS_FILE"):
        ApiSettings.from_environ({"ONEBOX_ADMIN_KEYS_FILE": str(tmp_path / "none")})


def test_the_key_of_a_request_is_its_bearer_or_its_header() -> None:
    assert presented("Bearer abc", None) == "abc"
    assert presented(None, "abc") == "abc"
    assert presented("Basic abc", "abc") is None
    assert presented(None, "") is None

"""After a push: ask every service what a user would ask, through the public port where that is open."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from provisioning.config.service_facts import API_CODE, UI_CODE
from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.host_errors import ConnectionLost, Unreachable
from provisioning.release.release import ServiceRelease
from provisioning.ssh import Connection

API, UI, PROMETHEUS = "flask-api", "streamlit-ui", "prometheus"
PORTS = {API: 5000, UI: 8501, PROMETHEUS: 9090}
CODE = {API: API_CODE.variable, UI: UI_CODE.variable}
"""The variable of the code that a service takes up while it runs."""
PATIENCE_SECONDS = 10.0
"""How long a service that says that it is healthy may still answer wrongly: users see that, too."""
SCRAPE_PATIENCE_SECONDS = 45.0
"""The same for Prometheus, whose targets are known only after their next scrape."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_DIRECT_SECONDS = 4.0
_TUNNEL_SECONDS = 10.0
_LIMIT = 1 << 20


class NotYet(Exception):
    """The service answers, but not yet as it should."""


@dataclass(frozen=True)
class Answer:
    """Status and body of an HTTP answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises NotYet when it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise NotYet(f"the answer is not JSON: {self.body[:80]!r}") from None


Ask = Callable[..., Answer]
"""`ask(path, body=None)`: POST of JSON when there is a body, else GET."""


@dataclass(frozen=True)
class Wanted:
    """What the services have to be."""

    parts: Mapping[str, ServiceRelease]
    code: Mapping[str, str] = field(default_factory=dict)
    """Service -> digest of the code that it has to run; nothing for one that has it in its image."""

    @classmethod
    def of(cls, manifest: Mapping[str, Any], parts: Mapping[str, ServiceRelease]) -> Self:
        """These services of a release."""
        data = manifest["data"]
        live = {service for service, name in CODE.items() if name in data and data[name]["live"]}
        return cls(parts, {service: data[CODE[service]]["digest"] for service in sorted(live)})


def smoke(
    connection: Connection,
    wanted: Wanted,
    open_ports: frozenset[int],
    deadline: Deadline,
    touched: Collection[str],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Ask every service that we know how to ask; warnings about ports that should be open and are not.

    `touched` are the services that were made anew or reloaded. Raises ServiceFailure when one keeps answering
    wrongly.
    """
    warnings: list[str] = []
    for service in (name for name in wanted.parts if name in PORTS):
        port = PORTS[service]
        ask, warning = _way(connection, port, port in open_ports)
        if warning:
            warnings.append(warning)
        check = CHECKS[service] if service in touched else UNTOUCHED.get(service, CHECKS[service])
        _ask_until_right(service, partial(check, ask, wanted), deadline, sleep)
    return tuple(warnings)


def _ask_until_right(
    service: str, check: Callable[[], None], deadline: Deadline, sleep: Callable[[float], None]
) -> None:
    ends = min(deadline.left, SCRAPE_PATIENCE_SECONDS if service == PROMETHEUS else PATIENCE_SECONDS)
    started = deadline.waited
    pause = _FIRST_PAUSE
    while True:
        try:
            return check()
        except (NotYet, OSError, http.client.HTTPException, Unreachable) as error:
            reason = str(error) or type(error).__name__
        if deadline.waited - started >= ends:
            raise ServiceFailure(service, reason)
        sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def check_api(ask: Ask, wanted: Wanted) -> None:
    """Ready, with metrics, of this release, and able to predict a row from the middle of its own ranges."""
    ready = ask("/ready")
    if ready.status != http.client.OK:
        raise NotYet(f"GET /ready answers {ready.status}: {ready.body[:200].decode('utf-8', 'replace')}")
    metrics = ask("/metrics")
    if metrics.status != http.client.OK:
        raise NotYet(f"GET /metrics answers {metrics.status}")
    config = ask("/config").json()
    if config.get("service_digest") != wanted.parts[API].digest:
        raise NotYet(f"GET /config shows the release {str(config.get('service_digest'))[:12]}")
    _check_code(API, config.get("code") or {}, wanted, "GET /config")
    row = {item["name"]: (item["min"] + item["max"]) / 2 for item in config["features"]}
    answer = ask("/predict", {"features": row})
    if answer.status == http.client.UNAUTHORIZED:
        # It takes predictions from holders of a key only, and the push has none.
        return
    if answer.status != http.client.OK or "prediction" not in answer.json():
        said = answer.body[:200].decode("utf-8", "replace")
        raise NotYet(f"POST /predict of a sample row answers {answer.status}: {said}")


def check_ui(ask: Ask, wanted: Wanted) -> None:
    """Streamlit serves, and every page of this release has been opened once."""
    answer = ask("/_stcore/health")
    if answer.status != http.client.OK:
        raise NotYet(f"GET /_stcore/health answers {answer.status}")
    if UI not in wanted.code:
        return
    running = ask("/code").json()
    _check_code(UI, running, wanted, "GET /code")
    if not running.get("tried"):
        why = (running.get("refused") or {}).get("why")
        raise NotYet(
            f"GET /code shows that its pages {f'do not work: {why}' if why else 'are not tried yet'}"
        )


def _check_code(service: str, running: Mapping[str, Any], wanted: Wanted, where: str) -> None:
    digest = wanted.code.get(service)
    if digest and running.get("serving") != digest:
        why = (running.get("refused") or {}).get("why") or "another one"
        raise NotYet(f"{where} shows that it does not run the code of the release: {why}")


def check_prometheus(ask: Ask, wanted: Wanted) -> None:
    """Ready, and scraping the API."""
    ours = _targets(ask, wanted)
    if API in wanted.parts and not any(target.get("health") == "up" for target in ours):
        said = ours[0].get("lastError") or ours[0].get("health")
        raise NotYet(f"the scrape target {API} is not up: {said}")


def check_untouched_prometheus(ask: Ask, wanted: Wanted) -> None:
    """Ready, and told to scrape the API.

    While the API was made anew a scrape may have met nobody, and the next one is seconds away; that one finds
    what we have just asked ourselves, in the place where it always was.
    """
    _targets(ask, wanted)


def _targets(ask: Ask, wanted: Wanted) -> list[Any]:
    """What Prometheus knows about the API's target, which is not nothing."""
    answer = ask("/-/ready")
    if answer.status != http.client.OK:
        raise NotYet(f"GET /-/ready answers {answer.status}")
    if API not in wanted.parts:
        return []
    targets = ask("/api/v1/targets?state=active").json()["data"]["activeTargets"]
    ours = [target for target in targets if API in target.get("scrapeUrl", "")]
    if not ours:
        raise NotYet(f"the scrape target {API} is not configured")
    return ours


CHECKS: Mapping[str, Callable[[Ask, Wanted], None]] = {
    API: check_api,
    UI: check_ui,
    PROMETHEUS: check_prometheus,
}
UNTOUCHED: Mapping[str, Callable[[Ask, Wanted], None]] = {PROMETHEUS: check_untouched_prometheus}


def _way(connection: Connection, port: int, expected_open: bool) -> tuple[Ask, str]:
    """How to ask a port: directly where it is open, else through the SSH connection; and a warning."""
    host = connection.target.host
    through_ssh = ask_through_ssh(connection, port)

    def direct(path: str, body: Any = None) -> Answer:
        return _exchange(http.client.HTTPConnection(host, port, timeout=_DIRECT_SECONDS), path, body)

    if not expected_open:
        return through_ssh, ""
    try:
        socket.create_connection((host, port), timeout=_DIRECT_SECONDS).close()
    except OSError as error:
        said = (
            "does not answer from here"
            if isinstance(error, TimeoutError)
            else f"is closed from here ({error.strerror})"
        )
        return through_ssh, f"port {port} {said}; it was asked through the SSH connection instead"
    return direct, ""


def ask_through_ssh(connection: Connection, port: int) -> Ask:
    """How to ask a port of the host's own loopback address, whatever is open to the outside."""

    def ask(path: str, body: Any = None) -> Answer:
        if not connection.active:
            raise ConnectionLost(connection.target.address, f"a question to port {port}")
        with contextlib.closing(connection.open_tunnel(port, _TUNNEL_SECONDS)) as channel:
            return _exchange(_TunnelConnection(channel, port), path, body)

    return ask


def _exchange(client: http.client.HTTPConnection, path: str, body: Any) -> Answer:
    try:
        if body is None:
            client.request("GET", path)
        else:
            # The API counts what is marked like this, but keeps it out of drift and experiment.
            headers = {"Content-Type": "application/json", "X-Synthetic": "1"}
            client.request("POST", path, json.dumps(body), headers)
        response = client.getresponse()
        content = response.read(_LIMIT)
        if response.length and len(content) < _LIMIT:
            raise http.client.IncompleteRead(content, response.length)
        return Answer(response.status, content)
    finally:
        client.close()


class _TunnelConnection(http.client.HTTPConnection):
    """HTTP over a channel that leads to a port of the host's own loopback address."""

    def __init__(self, channel: Any, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=_TUNNEL_SECONDS)
        self._channel = channel

    def connect(self) -> None:
        self.sock = _Borrowed(self._channel)


class _Borrowed:
    """A channel that http.client may use but not close.

    http.client closes the socket of an answer that ends its connection and goes on reading from the file
    made of it; a channel, unlike a socket, would lose what was not read yet.
    """

    def __init__(self, channel: Any) -> None:
        self.sendall = channel.sendall
        self.makefile = channel.makefile

    def close(self) -> None:
        pass

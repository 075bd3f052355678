"""The ready ladder, with a clock and a connector of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provisioning.agent.observe.messages import Readiness, ReadReadiness
from provisioning.agent.observe.readiness import handle as read_readiness
from provisioning.deadline import Deadline
from provisioning.errors import NotReady, ProvisioningError
from provisioning.host.readiness import (
    AUTH_GRACE_SECONDS,
    DAEMON_GRACE_SECONDS,
    GROUP_GRACE_SECONDS,
    readiness_checks,
    wait_for_login,
    wait_until_ready,
)
from provisioning.host_errors import AuthFailed, HostKeyMismatch, NoBanner, Unreachable

REFUSED = Unreachable("h:22", "connection refused")
SILENT = NoBanner("h:22", "no banner was received yet")
DENIED = AuthFailed("h:22", "admin", "key")
WRONG = HostKeyMismatch("h:22", "SHA256:a", ("SHA256:b",))
READY = Readiness(
    cloud_init="done",
    cloud_init_error="",
    warnings=(),
    docker_cli=True,
    docker="26.1.5",
    daemon_error="",
    compose="2.26.1",
    root_writable=True,
    free_bytes=10 << 30,
)


class Clock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Connector:
    """Answers with errors for a time each, then with a connection."""

    def __init__(self, clock: Clock, *phases: tuple[float, ProvisioningError]) -> None:
        self.clock = clock
        self.phases = phases
        self.calls = 0

    def __call__(self, _target: Any) -> Any:
        self.calls += 1
        start = 0.0
        for seconds, error in self.phases:
            start += seconds
            if self.clock.now < start:
                raise error
        return "connection"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _climb(clock: Clock, connector: Any, events: Any, seconds: float = 300, **more: Any) -> Any:
    target: Any = SimpleNamespace(address="h:22")
    return wait_for_login(
        target, Deadline(seconds, clock), events, connector=connector, sleep=clock.sleep, **more
    )


def test_a_host_that_is_still_booting_is_waited_for_rung_by_rung(clock: Clock, events: Any) -> None:
    connector = Connector(clock, (30, REFUSED), (10, SILENT), (10, DENIED))

    assert _climb(clock, connector, events) == "connection"
    assert 50 <= clock.now < 60
    assert "TCP: connection refused" in events.text()
    assert "SSH banner: no banner was received yet" in events.text()
    assert connector.calls < 30


def test_a_wrong_host_key_is_not_tried_twice(clock: Clock, events: Any) -> None:
    connector = Connector(clock, (99, WRONG))

    with pytest.raises(HostKeyMismatch):
        _climb(clock, connector, events)

    assert (connector.calls, clock.now) == (1, 0)


def test_a_host_that_is_changing_its_key_gets_a_moment(clock: Clock, events: Any) -> None:
    assert _climb(clock, Connector(clock, (3, WRONG)), events, key_change_seconds=15) == "connection"


def test_a_real_login_failure_does_not_wait_for_the_deadline(clock: Clock, events: Any) -> None:
    with pytest.raises(AuthFailed):
        _climb(clock, Connector(clock, (20, REFUSED), (999, DENIED)), events)

    assert 20 + AUTH_GRACE_SECONDS <= clock.now < 20 + 30 + 6


@pytest.mark.parametrize("jitter", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("seconds", range(40, 47))
def test_at_the_deadline_and_never_after_it_the_rung_and_the_time_waited_are_named(
    clock: Clock, events: Any, monkeypatch: pytest.MonkeyPatch, jitter: float, seconds: int
) -> None:
    monkeypatch.setattr("provisioning.host.readiness.random.uniform", lambda *_: jitter)
    with pytest.raises(NotReady, match=r"TCP: connection refused \(waited \d+ s\)") as caught:
        _climb(clock, Connector(clock, (999, REFUSED)), events, seconds=seconds)

    assert caught.value.step == "TCP"
    assert seconds - 10 <= caught.value.waited <= seconds


@pytest.mark.parametrize(
    ("facts", "rung", "final"),
    [
        ({"cloud_init": "running"}, "cloud-init", False),
        ({"cloud_init": "failed", "cloud_init_error": "apt"}, "cloud-init", True),
        ({"docker_cli": False, "docker": "", "compose": ""}, "Docker", True),
        ({"docker": "", "daemon_error": "Cannot connect"}, "Docker daemon", False),
        ({"compose": ""}, "docker compose", True),
        ({"root_writable": False}, "release directory", True),
        ({"free_bytes": 1 << 20}, "disk", True),
    ],
)
def test_each_missing_thing_is_named(facts: dict[str, Any], rung: str, final: bool) -> None:
    missing = next(item for item in readiness_checks(replace(READY, **facts), 1 << 30) if not item.passed)

    assert (missing.name, missing.final) == (rung, final)
    assert missing.reason


def test_a_host_with_everything_has_reached_every_rung() -> None:
    assert all(rung.passed for rung in readiness_checks(READY, 1 << 30))
    assert all(rung.passed for rung in readiness_checks(replace(READY, cloud_init="absent"), 1 << 30))


def test_a_user_who_may_not_use_docker_yet_logs_in_again() -> None:
    facts = replace(READY, docker="", daemon_error="permission denied while trying to connect")

    missing = next(item for item in readiness_checks(facts, 0) if not item.passed)

    assert (missing.again, missing.reason) == (True, "this user may not use it")


@pytest.mark.parametrize(
    ("said", "limit", "reason"),
    [
        ("Cannot connect to the Docker daemon", DAEMON_GRACE_SECONDS, "Docker daemon: Cannot connect"),
        ("permission denied while trying to connect", GROUP_GRACE_SECONDS, "this user may not use it"),
    ],
)
def test_a_booted_host_without_a_daemon_for_us_is_not_waited_for_until_the_deadline(
    clock: Clock, events: Any, said: str, limit: float, reason: str
) -> None:
    facts = replace(READY, docker="", daemon_error=said)
    connection: Any = SimpleNamespace(active=True, call=lambda *_, **__: facts, close=lambda: None)
    settings: Any = SimpleNamespace(
        target=SimpleNamespace(address="h:22"), remote_root="/r", min_free_bytes=0
    )

    with pytest.raises(NotReady, match=reason):
        wait_until_ready(
            settings, Deadline(900, clock), events, connector=lambda _: connection, sleep=clock.sleep
        )

    assert limit <= clock.now < limit + 5


def test_a_daemon_that_is_still_being_installed_is_waited_for() -> None:
    facts = replace(READY, cloud_init="absent", docker="", daemon_error="Cannot connect")

    assert next(item for item in readiness_checks(facts, 0) if not item.passed).patience > 900


def test_a_running_cloud_init_is_waited_for_on_the_host(host: Any, events: Any) -> None:
    run_dir = host.home / "cloud-init"
    run_dir.mkdir()

    def finish(_seconds: float) -> None:
        (run_dir / "result.json").write_text(json.dumps({"v1": {"errors": []}}))

    connection, warnings = wait_until_ready(
        host.settings(), Deadline(30), events, sleep=finish, run_dir=str(run_dir)
    )

    connection.close()
    assert warnings == ()
    assert "cloud-init: still running" in events.text()


def test_a_failed_cloud_init_fails_with_its_words(host: Any, events: Any) -> None:
    run_dir = host.home / "cloud-init"
    run_dir.mkdir()
    (run_dir / "result.json").write_text(json.dumps({"v1": {"errors": ["apt was not found"]}}))

    with pytest.raises(NotReady, match="cloud-init: failed: apt was not found"):
        wait_until_ready(host.settings(), Deadline(30), events, run_dir=str(run_dir))


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"v1": []}', '{"v1": 5}', "[" * 50_000])
def test_a_damaged_result_of_cloud_init_is_none_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "result.json").write_text(text)

    assert read_readiness(ReadReadiness(str(tmp_path), str(tmp_path))).cloud_init == "running"


def test_recoverable_errors_of_cloud_init_are_warnings(host: Any, events: Any) -> None:
    run_dir = host.home / "cloud-init"
    run_dir.mkdir()
    (run_dir / "result.json").write_text(json.dumps({"v1": {"errors": []}}))
    status = {"v1": {"init": {"recoverable_errors": {"WARNING": ["odd"], "DEPRECATED": ["old"]}}}}
    (run_dir / "status.json").write_text(json.dumps(status))

    connection, warnings = wait_until_ready(host.settings(), Deadline(30), events, run_dir=str(run_dir))

    connection.close()
    assert warnings == ("cloud-init: odd",)

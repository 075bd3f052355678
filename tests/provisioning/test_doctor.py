"""The doctor: which rung it names first, and what cure it gives."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from provisioning.errors import ProvisioningError, SettingsError, StackError
from provisioning.host.lock import hold
from provisioning.host_errors import (
    AlgorithmsTooWeak,
    AuthFailed,
    HostKeyMismatch,
    NoBanner,
    UnknownHost,
    Unreachable,
)
from provisioning.operate.doctor import (
    LADDER,
    Condition,
    containers_check,
    diagnosis_without_stack,
    examine,
    ports_check,
)
from provisioning.plan.observed import Container, HostState

process = pytest.mark.process


def _examine(host: Any, **more: Any) -> Any:
    return examine(host.settings(), run_dir=str(host.home / "cloud-init"), **more)


@process
def test_a_host_that_serves_has_nothing_broken_on_any_rung(host: Any) -> None:
    host.push()

    found = _examine(host)

    assert found.first_broken is None
    assert [check.rung for check in found.checks] == list(LADDER)
    assert {check.condition for check in found.checks} <= {Condition.OK, Condition.NOTE}
    assert found.as_json()["well"] is True


@process
def test_the_doctor_changes_nothing(host: Any) -> None:
    host.push()
    host.calls()
    before = {path: path.stat().st_mtime_ns for path in host.root.rglob("*")}

    _examine(host)

    assert {path: path.stat().st_mtime_ns for path in host.root.rglob("*")} == before
    assert host.calls() == []


@pytest.mark.parametrize(
    ("error", "rung"),
    [
        (UnknownHost("h:22", "h"), "address"),
        (Unreachable("h:22", "connection refused"), "TCP"),
        (NoBanner("h:22", "no banner was received yet"), "SSH banner"),
        (AlgorithmsTooWeak("h:22", "ciphers"), "SSH algorithms"),
        (HostKeyMismatch("h:22", "SHA256:a", ("SHA256:b",)), "host key"),
        (AuthFailed("h:22", "admin", "key"), "login"),
        (SettingsError("private_key_file", "the private key is encrypted", hint="Unlock it."), "login"),
    ],
)
def test_what_keeps_us_from_logging_in_is_named_by_its_rung(
    host: Any, error: ProvisioningError, rung: str
) -> None:
    def connector(_target: Any) -> Any:
        raise error

    found = _examine(host, connector=connector)

    first = found.first_broken
    assert (first.rung, first.found, first.cure) == (rung, str(error), error.hint)
    assert first.cure
    place = LADDER.index(rung)
    assert {check.condition for check in found.checks[:place]} == {Condition.OK}
    assert {check.condition for check in found.checks[place + 1 :]} == {Condition.UNKNOWN}


@process
@pytest.mark.parametrize(
    ("command", "text", "rung", "cure"),
    [
        (
            "sudo",
            "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n",
            "sudo",
            "without a password",
        ),
        (
            "docker",
            "#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n",
            "Docker daemon",
            "systemctl",
        ),
    ],
)
def test_what_is_wrong_on_the_host_is_named_with_its_cure(
    host: Any, command: str, text: str, rung: str, cure: str
) -> None:
    host.push()
    (host.home / "bin" / command).write_text(text)

    first = _examine(host).first_broken

    assert first.rung == rung
    assert cure in first.cure


@process
def test_a_disk_that_is_full_is_broken_and_the_rest_is_still_looked_at(host: Any) -> None:
    host.push()

    found = examine(host.settings(min_free_bytes=1 << 60), run_dir=str(host.home / "cloud-init"))

    assert found.first_broken
    assert found.first_broken.rung == "disk"
    assert found.checks[LADDER.index("containers")].condition is Condition.OK


@process
def test_a_container_that_is_down_is_named_with_where_to_look(host: Any) -> None:
    host.push()
    state = host.state()
    state["containers"]["web"]["state"] = "exited"
    (host.docker / "state.json").write_text(json.dumps(state))

    first = _examine(host).first_broken

    assert (first.rung, first.found) == ("containers", "web is exited (healthy)")
    assert "onebox logs web" in first.cure


@process
def test_a_container_that_is_still_starting_is_a_note(host: Any) -> None:
    host.push()
    state = host.state()
    state["containers"]["web"]["health"] = "starting"
    (host.docker / "state.json").write_text(json.dumps(state))

    found = _examine(host)

    assert found.first_broken is None
    assert found.checks[LADDER.index("containers")].found == "still starting: web"


@process
def test_a_held_lock_and_a_clock_that_is_off_are_notes(host: Any) -> None:
    import time

    from provisioning.deadline import Deadline
    from provisioning.host.store import Store
    from provisioning.ssh import connect

    host.push()
    settings = host.settings()
    with connect(settings.target) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        with hold(store, Deadline(60), what="long push"):
            found = _examine(host, clock=lambda: time.time() + 3600)

    checks = {check.rung: check for check in found.checks}
    assert found.first_broken is None
    assert checks["lock"].condition is Condition.NOTE
    assert "long push" in checks["lock"].found
    assert checks["clock"].found in (
        "it is 3600 s behind this machine's",
        "it is 3601 s behind this machine's",
    )


@process
def test_a_host_without_a_release_is_not_broken(host: Any) -> None:
    found = _examine(host)

    assert found.first_broken is None
    assert found.checks[LADDER.index("containers")].found == "nothing was pushed yet"


def _container(service: str) -> Container:
    return Container("c", service, "d", "i", "i", "running", "healthy")


def test_a_public_port_that_should_be_open_and_is_not_names_the_tunnel(host: Any) -> None:
    state = HostState(containers=(_container("flask-api"), _container("prometheus")))
    settings = replace(host.settings(), open_ports=frozenset({22, 5000, 9090}))

    found = ports_check(state, settings, lambda port: "does not respond from here" if port == 9090 else "")

    assert (found.condition, found.found) == (Condition.BROKEN, "9090 does not respond from here")
    assert "onebox tunnel 9090" in found.cure


def test_a_port_that_is_closed_on_purpose_is_not_asked(host: Any) -> None:
    asked: list[int] = []

    def ask(port: int) -> str:
        asked.append(port)
        return ""

    state = HostState(containers=(_container("flask-api"), _container("prometheus")))
    settings = replace(host.settings(), open_ports=frozenset({22, 5000}))

    found = ports_check(state, settings, ask)

    assert (asked, found.condition) == ([5000], Condition.OK)


def test_drift_of_a_healthy_host_is_broken_and_cured_by_a_push() -> None:
    found = containers_check(HostState(current="a" * 64))

    assert found.condition is Condition.BROKEN
    assert "onebox push" in found.cure


def test_a_stack_without_outputs_is_the_first_rung() -> None:
    found = diagnosis_without_stack(StackError("the outputs cannot be read", hint="Run `pulumi up`."))

    assert (found.first_broken and found.first_broken.rung) == "stack"
    assert [check.condition for check in found.checks[1:]] == [Condition.UNKNOWN] * (len(LADDER) - 1)

"""Commands in a service's container, and what the audit log keeps of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning.errors import DeadlinePassed, SettingsError
from provisioning.host.audit import read_audit
from provisioning.host_errors import HostError
from provisioning.operate.exec import execute
from tests.waiting import wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def pushed(host: Any) -> Any:
    host.push()
    return host


def test_output_status_and_error_text_come_back_apart(pushed: Any) -> None:
    said: list[bytes] = []

    done = execute(pushed.settings(), "api", ["sh", "-c", "echo out; echo err >&2; exit 7"], said.append)

    assert (b"".join(said), done.stderr, done.status) == (b"out\n", "err\n", 7)


def test_arguments_arrive_as_they_were_given(pushed: Any) -> None:
    said: list[bytes] = []
    words = ["a b", "$HOME", "`id`", "'", '"', "*", "-x", "ü"]

    execute(pushed.settings(), "api", ["printf", "%s\\n", *words], said.append)

    assert b"".join(said).decode().splitlines() == words


def test_standard_input_is_handed_on_to_its_end(pushed: Any) -> None:
    said: list[bytes] = []

    execute(pushed.settings(), "api", ["cat"], said.append, data=b"x" * 300_000)

    assert b"".join(said) == b"x" * 300_000


def test_a_command_is_in_the_audit_log_without_what_looks_secret(pushed: Any) -> None:
    execute(pushed.settings(), "api", ["env", "API_TOKEN=canary-4711", "false"], lambda _chunk: None)

    entry = read_audit(pushed.settings()).entries[-1]
    assert (entry.what, entry.result) == ("exec", "status 1")
    assert entry.detail == "api: env API_TOKEN=*** false"
    assert "canary" not in (pushed.root / "audit.jsonl").read_text()


def test_an_interrupted_command_ends_on_the_host_and_is_in_the_log(pushed: Any, tmp_path: Path) -> None:
    marker = tmp_path / "pid"

    def interrupt(_chunk: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(pushed.settings(), "api", ["sh", "-c", f"echo $$ > {marker}; echo up; sleep 60"], interrupt)

    pid = marker.read_text().strip()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10, "the command has ended")
    assert read_audit(pushed.settings()).entries[-1].result == "interrupted"


def test_a_command_has_its_own_deadline(pushed: Any) -> None:
    with pytest.raises(DeadlinePassed, match="exec in api"):
        execute(pushed.settings(), "api", ["sleep", "60"], lambda _chunk: None, deadline_seconds=1)

    assert read_audit(pushed.settings()).entries[-1].result == "failed"


def test_a_service_that_there_is_not_is_refused_and_the_others_are_named(pushed: Any) -> None:
    with pytest.raises(SettingsError, match="no container of 'apy'") as caught:
        execute(pushed.settings(), "apy", ["true"], lambda _chunk: None)

    assert caught.value.hint == "The host has: api, web."
    assert read_audit(pushed.settings()).lines == 1


def test_a_service_that_does_not_run_is_said_so(pushed: Any) -> None:
    state = pushed.state()
    state["containers"]["api"]["state"] = "exited"
    (pushed.docker / "state.json").write_text(json.dumps(state))

    with pytest.raises(HostError, match="the container of api is exited"):
        execute(pushed.settings(), "api", ["true"], lambda _chunk: None)

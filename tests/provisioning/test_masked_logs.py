"""Logs do not show the secrets of the services, of this release or an earlier one."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.deploy.rollback import plan_rollback, roll_back
from provisioning.errors import UnhealthyRelease
from provisioning.host_errors import CommandFailed
from provisioning.operate.logs import read_logs
from provisioning.release.release import read_release
from tests.provisioning.secret_projects import CANARY, secrets


def say(secret_host: Any, text: str) -> None:
    """Let every service say this in its log."""
    (secret_host.docker / "said").write_text(text)


def logged(secret_host: Any, **settings: Any) -> str:
    lines: list[str] = []
    read_logs(secret_host.settings(**settings), "api", lines.append)
    return "\n".join(lines)


@pytest.mark.process
def test_logs_show_neither_the_values_of_now_nor_those_of_a_release_that_is_kept(secret_host: Any) -> None:
    secret_host.push(secrets=secrets(api_token=CANARY))
    now = secrets(api_token="second-value")
    secret_host.push(secrets=now)
    say(secret_host, f"api-1  | was {CANARY}, is second-value, mode=fast token=kept\n")

    text = logged(secret_host, secrets=now)

    # What only looks like a secret stays: these are the user's own words.
    assert text.endswith("api-1  | was ***, is ***, mode=fast token=kept")
    assert not [line for line in secret_host.sshd.commands if CANARY in line or "second-value" in line]


@pytest.mark.process
def test_logs_that_could_hold_a_secret_nobody_can_read_are_not_shown(secret_host: Any) -> None:
    secret_host.push(secrets=secrets(api_token=CANARY))
    say(secret_host, CANARY)
    sudo = secret_host.home / "bin" / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")

    with pytest.raises(CommandFailed, match="the secret api_token cannot be read, so it cannot be redacted"):
        logged(secret_host)


@pytest.mark.process
def test_a_rollback_that_fails_hides_the_values_of_the_release_it_wanted(secret_host: Any) -> None:
    old, now = secrets(api_token=CANARY), secrets(api_token="second-value")
    first = secret_host.push(secrets=old)
    secret_host.push(secrets=now)
    bad = read_release(secret_host.project, {}, old).services["api"].digest
    (secret_host.docker / "unhealthy").write_text(bad)
    say(secret_host, f"cannot log in with {CANARY}\n")
    settings = secret_host.settings(secrets=now)

    with pytest.raises(UnhealthyRelease) as caught:
        roll_back(settings, plan_rollback(settings), run_dir=str(secret_host.home / "cloud-init"))

    assert plan_rollback(settings).target.release == first.release
    assert caught.value.log_tail[-1] == "cannot log in with ***"

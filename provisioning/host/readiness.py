"""Readiness of the host: ordered, named checks from the TCP connection to the free disk space, with retries."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from provisioning.agent.observe.messages import Readiness, ReadReadiness
from provisioning.config.settings import PushSettings, Target
from provisioning.deadline import Deadline
from provisioning.errors import NotReady
from provisioning.events import Report, Step, step
from provisioning.host_errors import (
    AuthFailed,
    ConnectionLost,
    HostKeyMismatch,
    NoBanner,
    UnknownHost,
    Unreachable,
)
from provisioning.ssh import Connection, connect

AUTH_GRACE_SECONDS = 25.0
"""Seconds for which a rejected login key is retried: sshd may be up before cloud-init has written the key."""
DAEMON_GRACE_SECONDS = 20.0
"""Seconds for which a booted host's Docker daemon is retried: it may be restarting."""
GROUP_GRACE_SECONDS = 5.0
"""Seconds for which a user without access to Docker is retried: a new login shows a new group."""
_FIRST_PAUSE = 0.4
_LONGEST_PAUSE = 5.0
_CHECK_SECONDS = 30.0

Connector = Callable[[Target], Connection]


class LogIn(Protocol):
    """Opens the connection of a push, as `wait_for_login` does."""

    def __call__(
        self, target: Target, deadline: Deadline, report: Report, *, connector: Connector
    ) -> Connection: ...


@dataclass(frozen=True)
class ReadinessCheck:
    """The result of one readiness check; `reason` and `hint` are the message where it failed."""

    name: str
    passed: bool
    reason: str = ""
    hint: str = ""
    final: bool = False
    """No retry: waiting does not help."""
    patience: float = math.inf
    """Seconds of retries."""
    again: bool = False
    """Log in again before the retry, because groups are assigned at login."""


def wait_for_login(
    target: Target,
    deadline: Deadline,
    report: Report,
    *,
    connector: Connector = connect,
    sleep: Callable[[float], None] = time.sleep,
    key_change_seconds: float = 0.0,
) -> Connection:
    """Return a connection to a host that may still be booting; retry with backoff until the deadline.

    Raises HostKeyMismatch at once (after `key_change_seconds` where sshd is just switching its key), AuthFailed and
    UnknownHost after AUTH_GRACE_SECONDS, and NotReady, naming the failed check, at the deadline.
    """
    pause = _FIRST_PAUSE
    started = deadline.waited
    refused_at: float | None = None
    with step("connect", report) as running:
        while True:
            try:
                connection = connector(target)
            except HostKeyMismatch:
                if deadline.waited - started >= key_change_seconds:
                    raise
                name, reason = "host key", "sshd still presents the old key"
            except (AuthFailed, UnknownHost) as error:
                # The login key and the DNS name may both appear a little after the host.
                refused_at = deadline.waited if refused_at is None else refused_at
                if deadline.waited - refused_at >= AUTH_GRACE_SECONDS:
                    raise
                name, reason = "login" if isinstance(error, AuthFailed) else "name", str(error)
            except Unreachable as error:
                name, reason = "TCP", error.reason
            except (NoBanner, ConnectionLost) as error:
                name, reason = "SSH banner", getattr(error, "reason", str(error))
            else:
                running.detail = target.address
                return connection
            wait = _with_jitter(pause)
            if deadline.left <= wait:
                raise NotReady(name, deadline.waited, reason, hint="The host may need longer to boot.")
            running.line(f"{name}: {reason} ({deadline.waited:.0f} s)")
            sleep(wait)
            pause = min(pause * 1.6, _LONGEST_PAUSE)


def wait_until_ready(
    settings: PushSettings,
    deadline: Deadline,
    report: Report,
    *,
    connector: Connector = connect,
    sleep: Callable[[float], None] = time.sleep,
    run_dir: str = "/run/cloud-init",
) -> tuple[Connection, tuple[str, ...]]:
    """Return a connection to a host that is ready for a release, and warnings about the host.

    After the login it checks cloud-init, Docker, its daemon, compose, the release directory and free disk space.
    Raises as `wait_for_login`, and NotReady naming the failed check.
    """
    connection = wait_for_login(settings.target, deadline, report, connector=connector, sleep=sleep)
    return wait_after_login(
        connection, settings, deadline, report, connector=connector, sleep=sleep, run_dir=run_dir
    )


def wait_after_login(
    connection: Connection,
    settings: PushSettings,
    deadline: Deadline,
    report: Report,
    *,
    connector: Connector = connect,
    sleep: Callable[[float], None] = time.sleep,
    run_dir: str = "/run/cloud-init",
) -> tuple[Connection, tuple[str, ...]]:
    """Wait for the checks after the login, as `wait_until_ready` does. The returned connection may be a new one."""
    try:
        with step("ready", report) as running:
            return _retry_checks(connection, settings, deadline, running, connector, sleep, run_dir)
    except BaseException:
        connection.close()
        raise


def _retry_checks(
    connection: Connection,
    settings: PushSettings,
    deadline: Deadline,
    running: Step,
    connector: Connector,
    sleep: Callable[[float], None],
    run_dir: str,
) -> tuple[Connection, tuple[str, ...]]:
    pause = _FIRST_PAUSE
    started = deadline.waited
    since: dict[str, float] = {}
    while True:
        facts = _read(connection, settings, deadline, run_dir)
        checks = readiness_checks(facts, settings.min_free_bytes)
        failed = next((check for check in checks if not check.passed), None)
        if failed is None:
            running.detail = f"Docker {facts.docker}, compose {facts.compose}"
            return connection, facts.warnings
        waited = deadline.waited - started
        expired = waited - since.setdefault(failed.name, waited) >= failed.patience
        wait = _with_jitter(pause)
        if failed.final or expired or deadline.left <= wait:
            raise NotReady(failed.name, deadline.waited, failed.reason, hint=failed.hint)
        running.line(f"{failed.name}: {failed.reason} ({waited:.0f} s)")
        sleep(wait)
        pause = min(pause * 1.5, 3.0)
        if failed.again or not connection.active:
            connection.close()
            connection = connector(settings.target)


def _with_jitter(pause: float) -> float:
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


def _read(connection: Connection, settings: PushSettings, deadline: Deadline, run_dir: str) -> Readiness:
    seconds = min(_CHECK_SECONDS, deadline.check("waiting for the host"))
    return connection.call(ReadReadiness(run_dir, settings.remote_root), deadline=seconds)


def readiness_checks(facts: Readiness, min_free_bytes: int) -> tuple[ReadinessCheck, ...]:
    """Return the checks after the login, in order, evaluated on the facts of the host."""
    cloud = facts.cloud_init
    denied = "permission denied" in facts.daemon_error.lower()
    booted = cloud == "done"
    return (
        ReadinessCheck(
            "cloud-init",
            cloud in ("done", "absent"),
            "still running" if cloud == "running" else f"failed: {facts.cloud_init_error}",
            hint="Read /var/log/cloud-init-output.log on the host." if cloud != "running" else "",
            final=cloud == "failed",
        ),
        ReadinessCheck(
            "Docker",
            facts.docker_cli,
            "the docker command is not installed",
            hint="The stack's user-data installs it; was the instance created by `pulumi up`?",
            final=booted,
        ),
        ReadinessCheck(
            "Docker daemon",
            bool(facts.docker),
            "this user may not use it" if denied else facts.daemon_error or "it does not respond",
            hint="Add the user to the group docker."
            if denied
            else "Run `systemctl status docker` on the host.",
            again=denied,
            patience=(GROUP_GRACE_SECONDS if denied else DAEMON_GRACE_SECONDS) if booted else math.inf,
        ),
        ReadinessCheck(
            "docker compose",
            bool(facts.compose),
            "the compose plugin is not installed",
            hint="Install the package docker-compose on the host.",
            final=booted,
        ),
        ReadinessCheck(
            "release directory",
            facts.root_writable,
            "it does not exist, or this user cannot write to it",
            hint="It must belong to the login user.",
            final=booted,
        ),
        ReadinessCheck(
            "disk",
            facts.free_bytes >= min_free_bytes,
            f"{facts.free_bytes >> 20} MiB free, {min_free_bytes >> 20} MiB needed",
            hint="Run `docker system prune` on the host, or use a larger disk (onebox:volumeSizeGb).",
            final=True,
        ),
    )

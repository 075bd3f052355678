"""The ready ladder: from no answer at all to a host that can take a release, each rung with its name."""

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
"""How long a refused key is tried again: sshd may be up before cloud-init has written the key."""
DAEMON_GRACE_SECONDS = 20.0
"""How long a host that has booted is given for what is just being restarted."""
GROUP_GRACE_SECONDS = 5.0
"""How long a user who may not use Docker is given: a new login shows a new group."""
_FIRST_PAUSE = 0.4
_LONGEST_PAUSE = 5.0
_CHECK_SECONDS = 30.0

Connector = Callable[[Target], Connection]


class LogIn(Protocol):
    """What opens the connection of a push, as `wait_for_login` does."""

    def __call__(
        self, target: Target, deadline: Deadline, report: Report, *, connector: Connector
    ) -> Connection: ...


@dataclass(frozen=True)
class Rung:
    """One thing the host must have: its name, whether it is there, and what to say when it is not."""

    name: str
    reached: bool
    reason: str = ""
    hint: str = ""
    final: bool = False
    """Waiting does not help."""
    patience: float = math.inf
    """Seconds after which waiting no longer helps."""
    again: bool = False
    """A new login may help: groups are given at login."""


def wait_for_login(
    target: Target,
    deadline: Deadline,
    report: Report,
    *,
    connector: Connector = connect,
    sleep: Callable[[float], None] = time.sleep,
    key_change_seconds: float = 0.0,
) -> Connection:
    """A connection to a host that may still be booting.

    A wrong host key fails at once (or after `key_change_seconds`, when the host is just changing its
    key), a refused login key after AUTH_GRACE_SECONDS, everything else at the deadline, as NotReady
    naming the rung: TCP, SSH banner or login.
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
                rung, reason = "host key", "it still shows the old key"
            except (AuthFailed, UnknownHost) as error:
                # Keys and names both may come a little after the host.
                refused_at = deadline.waited if refused_at is None else refused_at
                if deadline.waited - refused_at >= AUTH_GRACE_SECONDS:
                    raise
                rung, reason = "login" if isinstance(error, AuthFailed) else "name", str(error)
            except Unreachable as error:
                rung, reason = "TCP", error.reason
            except (NoBanner, ConnectionLost) as error:
                rung, reason = "SSH banner", getattr(error, "reason", str(error))
            else:
                running.detail = target.address
                return connection
            wait = _with_jitter(pause)
            if deadline.left <= wait:
                raise NotReady(rung, deadline.waited, reason, hint="The host may need longer to boot.")
            running.line(f"{rung}: {reason} ({deadline.waited:.0f} s)")
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
    """A connection to a host that can take a release, and warnings about it.

    Beyond the login: cloud-init done, Docker, its daemon, compose, free disk. Raises NotReady naming
    the rung that was not reached.
    """
    connection = wait_for_login(settings.target, deadline, report, connector=connector, sleep=sleep)
    return climb(connection, settings, deadline, report, connector=connector, sleep=sleep, run_dir=run_dir)


def climb(
    connection: Connection,
    settings: PushSettings,
    deadline: Deadline,
    report: Report,
    *,
    connector: Connector = connect,
    sleep: Callable[[float], None] = time.sleep,
    run_dir: str = "/run/cloud-init",
) -> tuple[Connection, tuple[str, ...]]:
    """The rungs above the login, as `wait_until_ready` has them. The connection that comes back may be another."""
    try:
        with step("ready", report) as running:
            return _climb(connection, settings, deadline, running, connector, sleep, run_dir)
    except BaseException:
        connection.close()
        raise


def _climb(
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
        missing = next((rung for rung in rungs(facts, settings.min_free_bytes) if not rung.reached), None)
        if missing is None:
            running.detail = f"Docker {facts.docker}, compose {facts.compose}"
            return connection, facts.warnings
        waited = deadline.waited - started
        in_vain = waited - since.setdefault(missing.name, waited) >= missing.patience
        wait = _with_jitter(pause)
        if missing.final or in_vain or deadline.left <= wait:
            raise NotReady(missing.name, deadline.waited, missing.reason, hint=missing.hint)
        running.line(f"{missing.name}: {missing.reason} ({waited:.0f} s)")
        sleep(wait)
        pause = min(pause * 1.5, 3.0)
        if missing.again or not connection.active:
            connection.close()
            connection = connector(settings.target)


def _with_jitter(pause: float) -> float:
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


def _read(connection: Connection, settings: PushSettings, deadline: Deadline, run_dir: str) -> Readiness:
    seconds = min(_CHECK_SECONDS, deadline.check("waiting for the host"))
    return connection.call(ReadReadiness(run_dir, settings.remote_root), deadline=seconds)


def rungs(facts: Readiness, min_free_bytes: int) -> tuple[Rung, ...]:
    """Pure: the rungs above the login, in order, from what the host said about itself."""
    cloud = facts.cloud_init
    denied = "permission denied" in facts.daemon_error.lower()
    booted = cloud == "done"
    return (
        Rung(
            "cloud-init",
            cloud in ("done", "absent"),
            "still running" if cloud == "running" else f"failed: {facts.cloud_init_error}",
            hint="Read /var/log/cloud-init-output.log on the host." if cloud != "running" else "",
            final=cloud == "failed",
        ),
        Rung(
            "Docker",
            facts.docker_cli,
            "the docker command is not there",
            hint="The stack's user-data installs it; was the instance started by `pulumi up`?",
            final=booted,
        ),
        Rung(
            "Docker daemon",
            bool(facts.docker),
            "this user may not use it" if denied else facts.daemon_error or "it does not answer",
            hint="Add the user to the group docker." if denied else "Look at `systemctl status docker`.",
            again=denied,
            patience=(GROUP_GRACE_SECONDS if denied else DAEMON_GRACE_SECONDS) if booted else math.inf,
        ),
        Rung(
            "docker compose",
            bool(facts.compose),
            "the compose plugin is not there",
            hint="Install the package docker-compose on the host.",
            final=booted,
        ),
        Rung(
            "release directory",
            facts.root_writable,
            "it is not there or this user cannot write to it",
            hint="It must belong to the user of the push.",
            final=booted,
        ),
        Rung(
            "disk",
            facts.free_bytes >= min_free_bytes,
            f"{facts.free_bytes >> 20} MiB free, {min_free_bytes >> 20} MiB needed",
            hint="Run `docker system prune` on the host, or give it a larger volume.",
            final=True,
        ),
    )

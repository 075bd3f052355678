"""Check a host from the stack's outputs to the public ports, each check once. Repairs nothing."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from provisioning.agent.observe.messages import ReadReadiness
from provisioning.config.service_facts import SERVICES
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.errors import ProvisioningError, SettingsError
from provisioning.host.drift import status_of
from provisioning.host.lock import lock_on
from provisioning.host.readiness import Connector, readiness_checks
from provisioning.host.store import Store
from provisioning.host_errors import (
    AlgorithmsTooWeak,
    AuthFailed,
    HostKeyMismatch,
    NoBanner,
    UnknownHost,
    Unreachable,
)
from provisioning.plan.observed import HostState
from provisioning.ssh import Connection, connect

STACK = "stack"
REACHING = ("address", "TCP", "SSH banner", "SSH algorithms", "host key", "login")
ON_THE_HOST = (
    "clock",
    "sudo",
    "cloud-init",
    "Docker",
    "Docker daemon",
    "docker compose",
    "release directory",
    "disk",
)
SERVING = ("lock", "containers", "public ports")
LADDER = (STACK, *REACHING, *ON_THE_HOST, *SERVING)

_BROKEN_BY: tuple[tuple[type[ProvisioningError], str], ...] = (
    (UnknownHost, "address"),
    (AlgorithmsTooWeak, "SSH algorithms"),
    (HostKeyMismatch, "host key"),
    (AuthFailed, "login"),
    (SettingsError, "login"),
    (NoBanner, "SSH banner"),
    (Unreachable, "TCP"),
)
_NEEDED_FOR_SERVING = ("Docker", "Docker daemon", "docker compose", "release directory")
_ASK_SECONDS = 30.0
_PORT_SECONDS = 4.0
_CLOCK_SECONDS = 30.0


class Condition(StrEnum):
    """The result of a check."""

    OK = "ok"
    NOTE = "note"
    """A fact to know; nothing is broken."""
    BROKEN = "broken"
    UNKNOWN = "unknown"
    """Not checked, because an earlier check failed."""


@dataclass(frozen=True)
class Check:
    """One check: its result, what it found, and the remedy. Field names are those of `--json`."""

    rung: str
    """Name of the check."""
    condition: Condition
    found: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The result of every check, in order."""

    checks: tuple[Check, ...]

    @property
    def first_broken(self) -> Check | None:
        """Return the first failed check; None when all passed."""
        return next((check for check in self.checks if check.condition is Condition.BROKEN), None)

    def as_json(self) -> dict[str, Any]:
        """Return the diagnosis as `--json` shows it."""
        first = self.first_broken
        return {
            "well": first is None,
            "first_broken": first.rung if first else None,
            "checks": [asdict(check) for check in self.checks],
        }


def examine(
    settings: PushSettings,
    *,
    connector: Connector = connect,
    run_dir: str = "/run/cloud-init",
    clock: Callable[[], float] = time.time,
) -> Diagnosis:
    """Run every check once, without retries. Changes nothing and raises nothing."""
    found = {STACK: Check(STACK, Condition.OK, f"its host is {settings.target.address}")}
    try:
        connection = connector(settings.target)
    except ProvisioningError as error:
        broken = next((name for kind, name in _BROKEN_BY if isinstance(error, kind)), "login")
        found |= {name: Check(name, Condition.OK) for name in REACHING[: REACHING.index(broken)]}
        found[broken] = Check(broken, Condition.BROKEN, str(error), error.hint)
    else:
        found |= {name: Check(name, Condition.OK) for name in REACHING}
        found["login"] = Check("login", Condition.OK, f"{settings.target.user}@{settings.target.address}")
        with connection:
            for check in _on_the_host(connection, settings, run_dir, clock):
                found[check.rung] = check
            if not any(
                found[name].condition is Condition.BROKEN for name in _NEEDED_FOR_SERVING if name in found
            ):
                found |= {check.rung: check for check in _serving(connection, settings)}
    return Diagnosis(tuple(found.get(name, Check(name, Condition.UNKNOWN)) for name in LADDER))


def diagnosis_without_stack(error: ProvisioningError) -> Diagnosis:
    """Return the diagnosis of a stack whose outputs or settings cannot be used."""
    broken = Check(STACK, Condition.BROKEN, str(error), error.hint)
    return Diagnosis((broken, *(Check(name, Condition.UNKNOWN) for name in LADDER[1:])))


def _on_the_host(
    connection: Connection, settings: PushSettings, run_dir: str, clock: Callable[[], float]
) -> list[Check]:
    checks = [
        _guarded("clock", lambda: _clock(connection, clock)),
        _guarded("sudo", lambda: _sudo(connection, settings.target.user)),
    ]
    try:
        request = ReadReadiness(run_dir, settings.remote_root)
        facts = connection.call(request, deadline=_ASK_SECONDS, step="reading the readiness")
    except ProvisioningError as error:
        return [
            *checks,
            Check("cloud-init", Condition.BROKEN, f"the readiness cannot be read: {error}", error.hint),
        ]
    seen = {
        "cloud-init": facts.cloud_init,
        "Docker daemon": facts.docker,
        "docker compose": facts.compose,
        "release directory": settings.remote_root,
        "disk": f"{facts.free_bytes / 2**30:.1f} GiB free",
    }
    for check in readiness_checks(facts, settings.min_free_bytes):
        if check.passed:
            checks.append(Check(check.name, Condition.OK, seen.get(check.name, "")))
        else:
            checks.append(Check(check.name, Condition.BROKEN, check.reason, check.hint))
    return checks


def _clock(connection: Connection, clock: Callable[[], float]) -> Check:
    before = clock()
    shown = float(connection.run(["date", "+%s"], deadline=_ASK_SECONDS, step="reading the clock").stdout)
    off = shown - (before + clock()) / 2
    if abs(off) <= _CLOCK_SECONDS:
        return Check("clock", Condition.OK)
    relation = "ahead of" if off > 0 else "behind"
    cure = (
        "Run `timedatectl` on the machine that is wrong: times in logs and certificates depend on its clock."
    )
    return Check("clock", Condition.NOTE, f"it is {abs(off):.0f} s {relation} this machine's", cure)


def _sudo(connection: Connection, user: str) -> Check:
    done = connection.run(["sudo", "-n", "true"], deadline=_ASK_SECONDS, step="sudo", check=False)
    if done.status == 0:
        return Check("sudo", Condition.OK)
    said = (done.stderr.strip().splitlines() or [f"status {done.status}"])[-1]
    cure = f"Allow {user} `sudo -n` without a password, as Debian's cloud image does for its own user."
    return Check("sudo", Condition.BROKEN, said, cure)


def _serving(connection: Connection, settings: PushSettings) -> list[Check]:
    store = Store(connection, settings.remote_root, settings.project_name)
    checks = [_guarded("lock", lambda: _lock(store))]
    try:
        state = store.read_state(None, Deadline(_ASK_SECONDS))
    except ProvisioningError as error:
        return [*checks, Check("containers", Condition.BROKEN, str(error), error.hint)]
    return [
        *checks,
        containers_check(state),
        ports_check(state, settings, lambda port: _closed(settings.target.host, port)),
    ]


def _lock(store: Store) -> Check:
    state = lock_on(store, Deadline(_ASK_SECONDS))
    if state.free:
        return Check("lock", Condition.OK, "free")
    cure = "Wait for it, or end it with `onebox lock break --force`."
    return Check("lock", Condition.NOTE, str(state), cure)


def containers_check(state: HostState) -> Check:
    """Pure: check that every service of the current release runs as it was pushed."""
    if state.current is None:
        return Check(
            "containers", Condition.NOTE, "nothing was pushed yet", "Run `pulumi up` or `onebox push`."
        )
    status = status_of(state)
    bad = [
        f"{item.service} is {item.state}{f' ({item.health})' if item.health else ''}"
        for item in status.services
        if item.state != "running" or item.health not in ("", "healthy", "starting")
    ]
    if bad:
        service = bad[0].split(" ", 1)[0]
        cure = f"Read `onebox logs {service}`. `onebox push` repairs it, `onebox rollback` rolls back."
        return Check("containers", Condition.BROKEN, "; ".join(bad), cure)
    starting = [item.service for item in status.services if item.health == "starting"]
    if starting:
        return Check(
            "containers",
            Condition.NOTE,
            f"still starting: {', '.join(starting)}",
            "Run it again in a minute.",
        )
    if status.drift:
        return Check(
            "containers",
            Condition.BROKEN,
            status.drift[0],
            "`onebox push` repairs the drift and nothing else.",
        )
    return Check("containers", Condition.OK, f"{len(status.services)} as pushed")


def ports_check(state: HostState, settings: PushSettings, closed: Callable[[int], str]) -> Check:
    """Check that the stack's open ports accept connections from here. `closed` returns why not; empty for open."""
    running = {item.service for item in state.containers if item.state == "running"}
    ports = {service.port for service in SERVICES if service.name in running}
    wanted = sorted(ports & settings.open_ports)
    if not wanted:
        return Check("public ports", Condition.NOTE, "the stack's settings open none")
    reasons = {port: closed(port) for port in wanted}
    bad = [f"{port} {reason}" for port, reason in reasons.items() if reason]
    if not bad:
        return Check("public ports", Condition.OK, ", ".join(map(str, wanted)))
    port = bad[0].split(" ", 1)[0]
    cure = (
        f"Add this machine's address to the port's CIDRs and run `pulumi up`, or use `onebox tunnel {port}`."
    )
    return Check("public ports", Condition.BROKEN, "; ".join(bad), cure)


def _closed(host: str, port: int) -> str:
    try:
        with contextlib.closing(socket.create_connection((host, port), timeout=_PORT_SECONDS)):
            return ""
    except TimeoutError:
        return "does not respond from here"
    except OSError as error:
        return f"is closed from here ({(error.strerror or str(error)).lower()})"


def _guarded(name: str, run: Callable[[], Check]) -> Check:
    try:
        return run()
    except (ProvisioningError, ValueError) as error:
        return Check(name, Condition.BROKEN, str(error), getattr(error, "hint", ""))

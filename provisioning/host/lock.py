"""The lock of a host: hold, read and break it. A process on the host holds it and ends with its SSH connection."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from provisioning.agent.codec import encode
from provisioning.agent.lock.holder_file import Holder
from provisioning.agent.lock.messages import HELD, BreakLock, HoldLock, LockHolders, Outcome, ReadLock
from provisioning.agent.protocol import Exit
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.errors import ExitCode, LockBroken, Locked, ProvisioningError
from provisioning.events import Report, WarningGiven, silent, step
from provisioning.host.audit import LONGEST_DETAIL, write_audit
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.host_errors import CommandFailed, HostError
from provisioning.identity import whoami
from provisioning.redaction import Mask
from provisioning.ssh import connect
from provisioning.ssh.process import Process

HEARTBEAT_SECONDS = 10.0
_LOOK_SECONDS = 0.2
NO_MASK = Mask(())


@dataclass(frozen=True)
class LockState:
    """The lock holder. `who`, `doing` and `since` are empty while the lock is free."""

    free: bool
    who: str = ""
    doing: str = ""
    since: str = ""
    pid: int = 0
    """Process id of the holder on the host."""
    steps: int = 0
    """Number of steps of a push that run on the host now."""

    def __str__(self) -> str:
        if self.free:
            return "free"
        if not self.who:
            return f"held by {self.steps} running step(s) of a push whose client is gone"
        return f"held by {self.who}, {self.doing}, since {self.since}"


@dataclass
class Held:
    """A lock that this process holds. Its release writes `result` and `detail` to the audit log."""

    result: str = "ok"
    detail: str = ""
    broken_by: str | None = None
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def hold(
    store: Store,
    deadline: Deadline,
    *,
    what: str,
    release: str = "",
    wait_seconds: float = 0,
    report: Report = silent,
    mask: Mask = NO_MASK,
) -> Iterator[Held]:
    """Hold the host's lock while the block runs, and write one line to its audit log.

    Waits up to `wait_seconds` for a lock that another push holds, and never breaks it. `mask` redacts the line of
    the audit log. The lock is a process on the host, which ends with this connection, or when its heartbeats stop.
    Raises Locked, naming the holder, and LockBroken when another user broke the lock while the block ran.
    """
    doing = f"{what} of {release[:12]}" if release else what
    holder = Holder(
        who=f"{whoami()} (pid {os.getpid()})",
        user=whoami(),
        what=what,
        release=release,
        doing=doing,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    process = _take(store, holder, deadline, wait_seconds, report)
    held = Held()
    beat = threading.Thread(target=_beat, args=(store, process, held), name="onebox-lock", daemon=True)
    beat.start()
    try:
        yield held
    except ProvisioningError as error:
        held.result, held.detail = (
            "unhealthy" if error.exit_code == ExitCode.UNHEALTHY else "failed",
            str(error),
        )
        if held.broken_by is not None:
            raise LockBroken(held.broken_by, doing) from error
        raise
    except BaseException as error:
        held.result, held.detail = "interrupted", type(error).__name__
        raise
    finally:
        held.over.set()
        beat.join()
        _release(store, process, held, mask)
    if held.broken_by is not None:
        raise LockBroken(held.broken_by, doing)


def read_lock(
    settings: PushSettings, deadline_seconds: float = 30, *, connector: Connector = connect
) -> LockState:
    """Return the lock holder of a host. Changes nothing. Raises ProvisioningError."""
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        return lock_on(Store(connection, settings.remote_root, settings.project_name), deadline)


def lock_on(store: Store, deadline: Deadline) -> LockState:
    """Return the lock holder over an open connection. Takes no lock, so reading never delays a push."""
    return lock_state(store.call(ReadLock(store.root), deadline))


def break_lock(
    settings: PushSettings, deadline_seconds: float = 90, *, connector: Connector = connect
) -> LockState:
    """End the lock holder, its SSH session and its steps; return the holder.

    Rolls nothing back: the next push continues from the observed state. Does nothing while the lock is free.
    Raises CommandFailed when a process does not end.
    """
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        before = lock_on(store, deadline)
        if before.free:
            return before
        result = "failed"
        try:
            store.call(BreakLock(store.root, whoami()), deadline)
            result = "ok"
        except CommandFailed as error:
            hint = "Log in with `onebox ssh` and end the process there."
            raise CommandFailed("breaking the lock", error.status, error.output, hint=hint) from error
        finally:
            if connection.active:
                write_audit(
                    store,
                    deadline,
                    what="lock break",
                    result=result,
                    seconds=deadline.waited,
                    detail=str(before),
                )
        return before


def lock_state(found: LockHolders) -> LockState:
    """Return the state in the agent's answer."""
    holder = found.holder or Holder("", "", "")
    return LockState(found.free, holder.who, holder.doing, holder.since, holder.pid, found.steps)


def _take(
    store: Store,
    holder: Holder,
    deadline: Deadline,
    wait_seconds: float,
    report: Report,
) -> Process:
    """Return the process on the host that holds the lock."""
    try:
        return _try(store, holder, deadline)
    except Locked as error:
        if wait_seconds <= 0:
            raise
        last = error
    waiting = Deadline(wait_seconds)
    report(WarningGiven(f"the lock is held by {last.holder}; waiting up to {wait_seconds:.0f} s"))
    with step("wait for the lock", report) as running:
        while waiting.left > 0:
            running.line(f"{last.holder} ({waiting.left:.0f} s left)")
            waiting_for = random.uniform(0.5, 2.0)  # noqa: S311 - jitter, not a secret
            threading.Event().wait(min(waiting_for, waiting.left))
            try:
                process = _try(store, holder, deadline)
            except Locked as error:
                if error.holder != last.holder:
                    report(WarningGiven(f"the lock is now held by {error.holder}"))
                last = error
            else:
                running.detail = f"free after {waiting.waited:.0f} s"
                return process
        raise last


def _try(
    store: Store,
    holder: Holder,
    deadline: Deadline,
) -> Process:
    name = "taking the lock"
    process = store.connection.start_request(HoldLock(store.root, holder), step=name)
    answer = process.read_line(min(30.0, deadline.check(name)))
    if answer == HELD:
        return process
    done = process.wait(10.0)
    process.close()
    if done.status == Exit.LOCKED:
        raise Locked(answer or "unknown holder")
    raise CommandFailed(name, done.status, done.stderr)


def _beat(store: Store, process: Process, held: Held) -> None:
    """Send heartbeats, and close the connection when the lock is lost, so that no further step runs without it."""
    quiet = Deadline(HEARTBEAT_SECONDS)
    while not held.over.wait(_LOOK_SECONDS):
        try:
            if process.ended:
                done = process.wait(5.0)
                if done.status == Exit.LOCK_BROKEN:
                    held.broken_by = done.stdout.strip() or "an unknown user"
                else:
                    held.broken_by = f"the host (status {done.status})"
                store.connection.close()
                return
            if quiet.left <= 0:
                process.send(b"\n")
                quiet = Deadline(HEARTBEAT_SECONDS)
        except HostError:
            return


def _release(store: Store, process: Process, held: Held, mask: Mask) -> None:
    """Report the outcome to the holder's process and wait for its end: then the lock is free."""
    if store.connection.active:
        outcome = Outcome(held.result, mask.text(held.detail)[:LONGEST_DETAIL])
        try:
            process.send(encode(outcome).encode() + b"\n")
            process.wait(10.0)
        except ProvisioningError:
            # The connection was just lost, and the lock ended with it.
            pass
    process.close()

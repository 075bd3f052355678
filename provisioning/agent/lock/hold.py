"""Hold the lock of a host in a process that ends with its client.

The audit line is written here, so that a client that was killed leaves one too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from dataclasses import replace
from typing import NoReturn, Optional

from provisioning.agent.codec import decode
from provisioning.agent.lock.holder_file import Holder, holder_path, read_holder, running_holder, write_holder
from provisioning.agent.lock.messages import HELD, HoldLock, Outcome
from provisioning.agent.protocol import Exit
from provisioning.agent.store.audit_log import append_audit

SILENCE_SECONDS = 30
NAME_SECONDS = 1.0
INTERRUPTED = "broken off"


def handle(request: HoldLock) -> Exit:
    """Return OK after the lock was released, LOCKED when another holder has it."""
    lock = os.open(os.path.join(request.root, "push.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    if not _take(request.root, lock):
        return Exit.LOCKED
    # Steps of a push hold this one shared: a step that outlives its client keeps others out.
    steps = os.open(os.path.join(request.root, "steps.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(steps, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(
            f"{_named(read_holder(request.root))} (its client is gone, but one of its steps is still running)"
        )
        return Exit.LOCKED
    os.close(steps)
    held = _Held(request.root, replace(request.holder, pid=os.getpid()))
    held.wait()
    return Exit.OK


class _Held:
    """The lock while it is held."""

    def __init__(self, root: str, holder: Holder) -> None:
        self._root = root
        self._holder = holder
        self._started = time.monotonic()
        write_holder(root, holder)
        signal.signal(signal.SIGTERM, self._broken)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        print(HELD, flush=True)

    def wait(self) -> None:
        """Wait for the end of the input or of its heartbeats, then record the outcome."""
        outcome = Outcome(INTERRUPTED, "its client went away")
        rest = b""
        while select.select([0], [], [], SILENCE_SECONDS)[0]:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    outcome = decode(Outcome, line)
        else:
            outcome = Outcome(INTERRUPTED, "its client was silent for half a minute")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._record(outcome)

    def _record(self, outcome: Outcome) -> None:
        holder = self._holder
        named = {name: value for name in ("what", "release") if (value := getattr(holder, name))}
        seconds = round(time.monotonic() - self._started, 1)
        append_audit(
            self._root, {"who": holder.user or holder.who, **named, **vars(outcome), "seconds": seconds}
        )
        os.unlink(holder_path(self._root))

    def _broken(self, *_: object) -> NoReturn:
        holder = read_holder(self._root)
        by = (holder and holder.broken_by) or "a signal"
        with contextlib.suppress(OSError):
            print(by, flush=True)
        self._record(Outcome("lock broken", f"by {by}"))
        os._exit(Exit.LOCK_BROKEN)


def _take(root: str, lock: int) -> bool:
    """Take the lock; when it is taken, print its holder, who is recorded a moment after taking it."""
    ends = time.monotonic() + NAME_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = running_holder(root)
        else:
            return True
        if holder or time.monotonic() > ends:
            print(_named(holder))
            return False
        time.sleep(0.02)


def _named(holder: Optional[Holder]) -> str:
    return str(holder) if holder else "its name is not known"

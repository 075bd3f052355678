"""Read who holds the lock, and break it.

Looks at processes that have the lock files open and takes no lock, so that reading never delays a push.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace
from typing import Callable, Optional, Union

from provisioning.agent.lock.holder_file import Holder, read_holder, write_holder
from provisioning.agent.lock.messages import BreakLock, LockHolders, ReadLock
from provisioning.agent.protocol import Refused

HOLDER_SECONDS = 10.0
STEP_SECONDS = 25.0
CLIENT_SECONDS = 2.0
"""Seconds for the client of a broken lock to detect it and close its connection."""
_LOCK, _STEPS = "push.lock", "steps.lock"


def handle(request: Union[ReadLock, BreakLock]) -> LockHolders:
    """Return who holds the lock, or held it before it was broken. Raises Refused when a process does not end."""
    root = os.path.realpath(request.root)
    holder, steps = _holder(root), _users_of(root, _STEPS)
    free = holder is None and not steps
    if isinstance(request, BreakLock) and not free:
        _break(root, holder, steps, request.by)
        free = _holder(root) is None and not _users_of(root, _STEPS)
    return LockHolders(holder, len(steps), free)


def _break(root: str, holder: Optional[Holder], steps: list[int], by: str) -> None:
    if holder:
        session = _session_of(holder.pid)
        write_holder(root, replace(holder, broken_by=by))
        _terminate(holder.pid)
        if not _wait_until(lambda: holder.pid not in _users_of(root, _LOCK), HOLDER_SECONDS):
            raise Refused("its holder does not end")
        # A client that detects it closes its connection; any other is disconnected.
        if session is not None and not _wait_until(lambda: not _runs(session), CLIENT_SECONDS):
            _terminate(session)
    for pid in _users_of(root, _STEPS):
        _terminate(pid)
    if not _wait_until(lambda: not set(steps) & set(_users_of(root, _STEPS)), STEP_SECONDS):
        raise Refused("a step of it does not end")


def _users_of(root: str, name: str) -> list[int]:
    """Return ids of processes that have this file of the root open."""
    wanted = os.path.join(root, name)
    found: list[int] = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if wanted in links:
            found.append(int(pid))
    return sorted(found)


def _holder(root: str) -> Optional[Holder]:
    holder = read_holder(root)
    return holder if holder and holder.pid in _users_of(root, _LOCK) else None


def _session_of(pid: int) -> Optional[int]:
    """Return the SSH session that a process belongs to, if this user may end it."""
    for _ in range(4):
        try:
            with open(f"/proc/{pid}/stat") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
            if name in ("sshd", "sshd-session"):
                return pid if os.stat(f"/proc/{pid}").st_uid == os.getuid() and os.getuid() else None
            pid = int(rest.split()[1])
        except (OSError, ValueError, IndexError):
            return None
    return None


def _terminate(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _runs(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Return whether the condition came to hold in time."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True

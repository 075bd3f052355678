"""Print who holds the host and which steps run; break that if asked. Input: {"root", "break_as": who does it, or null}.

Looks at processes that have the lock files open and takes no lock, so that looking never gets in a
push's way. Breaking ends the holder, its SSH session and its steps, and waits until they are gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any

STEP_SECONDS = 25.0
request = json.load(sys.stdin)
root = os.path.realpath(request["root"])
path = os.path.join(root, "push.holder")


def users_of(name: str) -> list[int]:
    """Ids of processes that have this file of our root open."""
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


def holder() -> dict[str, Any] | None:
    try:
        with open(path) as file:
            entry = json.load(file)
        return entry if entry["pid"] in users_of("push.lock") else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def session_of(pid: int) -> int | None:
    """The SSH session that a process belongs to, when it is one that we may end."""
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


def end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def gone(ids: list[int], seconds: float, name: str) -> bool:
    ends = time.monotonic() + seconds
    while set(ids) & set(users_of(name)):
        if time.monotonic() > ends:
            return False
        time.sleep(0.1)
    return True


found = holder()
steps = users_of("steps.lock")
answer: dict[str, Any] = {"holder": found, "steps": len(steps), "free": found is None and not steps}
if request["break_as"] and not answer["free"]:
    if found:
        session = session_of(found["pid"])
        with open(path + ".new", "w") as out:
            json.dump({**found, "broken_by": request["break_as"]}, out)
        os.replace(path + ".new", path)
        end(found["pid"])
        if not gone([found["pid"]], 10, "push.lock"):
            sys.exit("its holder does not end")
        if session is not None:
            # Long enough for its client to hear who did it.
            time.sleep(0.7)
            end(session)
    for pid in users_of("steps.lock"):
        end(pid)
    if not gone(steps, STEP_SECONDS, "steps.lock"):
        sys.exit("a step of it does not end")
    answer["free"] = holder() is None and not users_of("steps.lock")
print(json.dumps(answer))

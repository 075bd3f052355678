"""Hold the host for one push: print "held" and wait until our input ends or stays silent for half a minute.

Arguments: our root, who we are as JSON. Status 75: somebody else holds it; printed is who. While it is
held, a line of input is a sign of life when it is empty, else the outcome as JSON. The audit line is
written here, so that a client that was killed leaves one too.
SIGTERM breaks the lock (status 76): then the name of who did it is printed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
from typing import Any

from provisioning.agent.store.audit_log import append_audit

SILENCE_SECONDS = 30
NAME_SECONDS = 1.0
root, holder = sys.argv[1], json.loads(sys.argv[2])
holder["pid"] = os.getpid()
path = os.path.join(root, "push.holder")
outcome: dict[str, Any] = {"result": "broken off", "detail": "its client went away"}
started = time.monotonic()


def name_of_holder(*, alive: bool) -> str:
    """Who wrote itself down as the holder; empty for nobody, and with `alive` for a process that is gone."""
    try:
        with open(path) as file:
            entry = json.load(file)
        name, pid = "{who}, {doing}, since {since}".format(**entry), int(entry["pid"])
    except (OSError, ValueError, KeyError):
        return ""
    if alive:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
    return name


def taken(name: str, note: str = "") -> None:
    print((name or "its name is not known") + note)
    sys.exit(75)


def take(lock: int) -> None:
    """Take the lock, or end with the name of who has it: that is written down a moment after it was taken."""
    ends = time.monotonic() + NAME_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            name = name_of_holder(alive=True)
        if name or time.monotonic() > ends:
            taken(name)
        time.sleep(0.02)


def record() -> None:
    named = {name: holder[name] for name in ("what", "release") if name in holder}
    who = holder.get("user") or holder["who"]
    append_audit(root, {"who": who, **named, **outcome, "seconds": round(time.monotonic() - started, 1)})


def broken(*_: object) -> None:
    try:
        with open(path) as file:
            by = json.load(file).get("broken_by", "")
    except (OSError, ValueError):
        by = ""
    outcome.update(result="lock broken", detail=f"by {by or 'a signal'}")
    with contextlib.suppress(OSError):
        print(by or "a signal", flush=True)
    record()
    os.unlink(path)
    os._exit(76)


lock = os.open(os.path.join(root, "push.lock"), os.O_RDWR | os.O_CREAT, 0o600)
take(lock)
# Steps of a push hold this one shared: a step whose client is gone still keeps others out.
steps = os.open(os.path.join(root, "steps.lock"), os.O_RDWR | os.O_CREAT, 0o600)
try:
    fcntl.flock(steps, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    taken(name_of_holder(alive=False), " (it is gone, but a step of it is still running)")
os.close(steps)
with open(path + ".new", "w") as file:
    json.dump(holder, file)
os.replace(path + ".new", path)
signal.signal(signal.SIGTERM, broken)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print("held", flush=True)
rest = b""
while select.select([0], [], [], SILENCE_SECONDS)[0]:
    chunk = os.read(0, 65536)
    if not chunk:
        break
    *lines, rest = (rest + chunk).split(b"\n")
    for line in lines:
        if line.strip():
            outcome = json.loads(line)
else:
    outcome = {"result": "broken off", "detail": "its client was silent for half a minute"}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
record()
os.unlink(path)

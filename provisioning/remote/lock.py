"""Hold the host for one push: print "held" and wait until our input ends or stays silent for a minute.

Arguments: our root, who we are as JSON. Status 75: somebody else holds it; printed is who.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sys

SILENCE_SECONDS = 60
root, holder = sys.argv[1], json.loads(sys.argv[2])
holder["pid"] = os.getpid()
path = os.path.join(root, "push.holder")


def taken(note: str = "") -> None:
    try:
        with open(path) as file:
            print("{who}, {doing}, since {since}".format(**json.load(file)) + note)
    except (OSError, ValueError, KeyError):
        print("its name is not known" + note)
    sys.exit(75)


lock = os.open(os.path.join(root, "push.lock"), os.O_RDWR | os.O_CREAT, 0o600)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    taken()
# Steps of a push hold this one shared: a step whose client is gone still keeps others out.
steps = os.open(os.path.join(root, "steps.lock"), os.O_RDWR | os.O_CREAT, 0o600)
try:
    fcntl.flock(steps, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    taken(" (it is gone, but a step of it is still running)")
fcntl.flock(steps, fcntl.LOCK_UN)
with open(path + ".new", "w") as file:
    json.dump(holder, file)
os.replace(path + ".new", path)
print("held", flush=True)
while select.select([0], [], [], SILENCE_SECONDS)[0]:
    if not os.read(0, 4096):
        break
os.unlink(path)

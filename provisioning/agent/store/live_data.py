"""Put data in force that a service reads anew on a signal. Input: {"root", "note", "variable", "digest", "files",
"loaded"}.

The service mounts <root>/live/<variable>, which stays the same directory for ever. In it, each entry is a link
through `.current`, and `.current` is moved by one rename: who reads sees all of the old data or all of the
new. With `loaded` set, only write down that the service has read it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys

from provisioning.agent.store.journal import Journal

OWN = {".data", ".current", ".in-force"}
request = json.load(sys.stdin)
root, digest, files = request["root"], request["digest"], request["files"]
home = os.path.join(root, "live", request["variable"])
marker, current = os.path.join(home, ".in-force"), os.path.join(home, ".current")
final = os.path.join(home, ".data", digest)


def target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def point(link: str, goal: str) -> None:
    if target(link) == goal:
        return
    if os.path.lexists(link + ".new"):
        os.unlink(link + ".new")
    os.symlink(goal, link + ".new")
    if os.path.isdir(link) and not os.path.islink(link):
        shutil.rmtree(link)
    os.replace(link + ".new", link)


def right(path: str, entry: dict[str, str]) -> bool:
    try:
        with open(path, "rb") as file:
            return not os.path.islink(path) and hashlib.sha256(file.read()).hexdigest() == entry["sha256"]
    except OSError:
        return False


def fill(directory: str) -> None:
    wanted = {entry["path"] for entry in files}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, directory) not in wanted:
                os.unlink(path)
    for entry in files:
        path = os.path.join(directory, entry["path"])
        if not right(path, entry):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copyfile(os.path.join(root, "data", digest, entry["path"]), path + ".new")
            os.replace(path + ".new", path)
        os.chmod(path, entry["mode"])
    # The service reads it as another user, whatever the umask is.
    for folder, _, _ in os.walk(directory):
        os.chmod(folder, 0o755)


def switch() -> None:
    os.makedirs(os.path.dirname(final), exist_ok=True)
    for folder in (os.path.dirname(home), home, os.path.dirname(final)):
        os.chmod(folder, 0o755)
    # From here on nobody knows what the service has read.
    if os.path.lexists(marker):
        os.unlink(marker)
    if os.path.isdir(final):
        fill(final)
    else:
        shutil.rmtree(final + ".partial", ignore_errors=True)
        os.makedirs(final + ".partial")
        fill(final + ".partial")
        os.sync()
        os.replace(final + ".partial", final)
    before = os.path.basename(target(current))
    point(current, ".data/" + digest)
    tops = {entry["path"].split("/")[0] for entry in files}
    for name in tops:
        point(os.path.join(home, name), ".current/" + name)
    for name in set(os.listdir(home)) - tops - OWN:
        path = os.path.join(home, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    for name in set(os.listdir(os.path.dirname(final))) - {digest, before}:
        shutil.rmtree(os.path.join(home, ".data", name), ignore_errors=True)


journal = Journal(request["note"])
journal.begin()
if request["loaded"]:
    with open(marker + ".new", "w", encoding="utf-8") as file:
        file.write(digest)
    os.replace(marker + ".new", marker)
else:
    switch()
journal.end()
print(json.dumps({}))

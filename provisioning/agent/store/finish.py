"""Point `current` to a release, write a journal entry, prune. Input: {"root", "project", "switch_to", "entry", "keep"}.

Pruning keeps the newest releases with their images, so that each can serve again in seconds, and always the current
one and the one before it. Prints what was removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from provisioning.agent.docker_engine import way_to_docker
from provisioning.agent.store.journal import append, hold_steps

KEPT_LINES = 4000
request = json.load(sys.stdin)
root, switch_to = request["root"], request["switch_to"]
releases, journal = os.path.join(root, "releases"), os.path.join(root, "journal.jsonl")
link = os.path.join(root, "current")
removed: list[str] = []


def now() -> str | None:
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return None


def place(name: str) -> str:
    return os.path.join(releases, name)


def ended_well() -> Iterator[dict[str, Any]]:
    """The journal's lines of pushes and rollbacks that left their release serving, the newest last."""
    with open(journal, encoding="utf-8", errors="replace") as file:
        for line in file.read().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("result") == "ok" and entry.get("release"):
                yield entry


lock = hold_steps(root)
previous = now()
if switch_to and previous != switch_to:
    os.utime(os.path.join(releases, switch_to))
    if os.path.lexists(link + ".new"):
        os.unlink(link + ".new")
    os.symlink(os.path.join("releases", switch_to), link + ".new")
    os.replace(link + ".new", link)
append(journal, request["entry"])

if request["keep"]:
    known: dict[str, Any] = {}
    for name in os.listdir(releases):
        try:
            with open(os.path.join(releases, name, "manifest.json"), encoding="utf-8") as file:
                known[name] = json.load(file)
        except (OSError, ValueError):
            pass
    # By the order in which they came to serve: this host's clock may have been set back in between.
    order = {entry["release"]: number for number, entry in enumerate(ended_well())}
    newest = sorted(
        known, key=lambda name: (order.get(name, -1), os.stat(place(name)).st_mtime), reverse=True
    )
    pair = {now(), request["entry"].get("previous") or previous}
    kept = pair | set(newest[: request["keep"]])
    for name in os.listdir(releases):
        if name not in kept:
            shutil.rmtree(os.path.join(releases, name), ignore_errors=True)
            removed.append("release " + name[:12])
    for kind in ("data", "secrets"):
        folder = os.path.join(root, kind)
        used = {
            entry["digest"] for name in known if name in kept for entry in known[name].get(kind, {}).values()
        }
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if name not in used:
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
                removed.append(f"{kind} {name[:12]}")
    with open(journal, encoding="utf-8") as file:
        lines = file.read().splitlines()
    if len(lines) > 2 * KEPT_LINES:
        with open(os.open(journal + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(lines[-KEPT_LINES:]) + "\n")
        os.replace(journal + ".new", journal)
    parts = [part for manifest in known.values() for part in manifest["services"].values() if part["build"]]
    repositories = {part["image"].rpartition(":")[0] for part in parts}
    wanted = {part["image"] for name in known if name in kept for part in known[name]["services"].values()}
    if {part["image"] for part in parts} - wanted:
        found: list[tuple[str, str, int]] = []
        # The release serves and is written down; an image that stays too long waits for the next push.
        with contextlib.suppress(SystemExit, OSError):
            found = way_to_docker(request["project"], images=True).images()
        for image in [name for name, *_ in found]:
            repository, _, tag = image.rpartition(":")
            if repository in repositories and image not in wanted and re.fullmatch("[0-9a-f]{64}", tag):
                # Refused for an image that a container still uses, and that is right.
                if subprocess.run(["docker", "image", "rm", image], capture_output=True).returncode == 0:
                    removed.append("image " + image[: len(repository) + 13])
print(json.dumps({"removed": removed}))

"""Print as JSON the releases that are kept on this host, and what the journal knows about others. Input: {"root"}.

Reads only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

root = json.load(sys.stdin)["root"]
releases = os.path.join(root, "releases")


def lines(name: str) -> Iterator[dict[str, Any]]:
    try:
        with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
            texts = file.read().splitlines()
    except OSError:
        return
    for text in texts:
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


try:
    current = os.path.basename(os.readlink(os.path.join(root, "current")))
except OSError:
    current = ""
known: dict[str, Any] = {}
for name in sorted(os.listdir(releases)) if os.path.isdir(releases) else []:
    try:
        path = os.path.join(releases, name, "manifest.json")
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        changed = datetime.fromtimestamp(os.stat(path).st_mtime, timezone.utc)
        known[name] = {"manifest": manifest, "written": changed.isoformat(timespec="seconds")}
    except (OSError, ValueError):
        continue

# Only these tell when a release began to serve, and who did it.
served = [
    {name: entry.get(name) for name in ("at", "who", "what", "release")}
    for entry in lines("audit.jsonl")
    if entry.get("result") == "ok" and entry.get("what") in ("push", "rollback")
]
done = [entry for entry in lines("journal.jsonl") if entry.get("result") == "ok" and entry.get("release")]
past = {entry["release"] for entry in done} | {entry["release"] for entry in served if entry["release"]}
rows = subprocess.run(
    ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], capture_output=True, text=True
)
print(
    json.dumps(
        {
            "now": time.time(),
            "current": current or None,
            "previous": done[-1].get("previous") if done else None,
            "kept": known,
            "served": served,
            "past": sorted(past - set(known)),
            "images": rows.stdout.split() if rows.returncode == 0 else [],
        }
    )
)

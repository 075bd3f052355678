"""Print as JSON what the containers of a project use. Input: {"root", "project", "names": environment values to show}.

Reads only. Per container id: bytes of memory (without the page cache that can go at once) and their limit,
restarts, when it started, and those of its environment's values that were asked for. Null: not known.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Any

request = json.load(sys.stdin)
UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        sys.exit(f"docker {argv[0]}: {done.stderr.strip()}")
    return done.stdout


def first(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


def from_cgroup(pid: int) -> int | None:
    """What the kernel counts, at once; Docker's own figure takes two seconds."""
    try:
        groups = [line.split(":", 2) for line in first(f"/proc/{pid}/cgroup").splitlines()]
        for _, controllers, path in groups:
            unified = not controllers
            if not unified and "memory" not in controllers.split(","):
                continue
            home = "/sys/fs/cgroup" + ("" if unified else "/memory") + path
            used = int(first(home + ("/memory.current" if unified else "/memory.usage_in_bytes")))
            cache = "inactive_file" if unified else "total_inactive_file"
            stat = dict(line.split() for line in first(home + "/memory.stat").splitlines())
            return max(0, used - int(stat.get(cache, 0)))
    except (OSError, ValueError):
        pass
    return None


def from_docker(ids: list[str]) -> dict[str, int]:
    """Slower, and only for what the kernel does not show here."""
    try:
        rows = docker("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}", *ids)
    except (SystemExit, subprocess.TimeoutExpired):
        return {}
    found: dict[str, int] = {}
    for row in rows.splitlines():
        match = re.match(r"(\w+) ([\d.]+)([A-Za-z]+)", row)
        if match and match[3] in UNITS:
            found[match[1]] = int(float(match[2]) * UNITS[match[3]])
    return found


ids = docker(
    "ps",
    "--all",
    "--quiet",
    "--no-trunc",
    "--filter",
    "label=com.docker.compose.project=" + request["project"],
).split()
containers: dict[str, Any] = {}
for item in json.loads(docker("inspect", *ids)) if ids else []:
    state = item["State"]
    values = dict(entry.partition("=")[::2] for entry in item["Config"].get("Env") or [])
    running = state["Status"] == "running"
    containers[item["Id"]] = {
        "memory": from_cgroup(state["Pid"]) if running and state.get("Pid") else None,
        "memory_limit": (item.get("HostConfig") or {}).get("Memory") or None,
        "restarts": item.get("RestartCount", 0),
        "started": state.get("StartedAt") if running else None,
        "environment": {name: values[name] for name in request["names"] if name in values},
    }
unknown = [name for name, found in containers.items() if found["memory"] is None and found["started"]]
for name, used in (from_docker(unknown) if unknown else {}).items():
    containers[name]["memory"] = used
disk = shutil.disk_usage(request["root"] if os.path.isdir(request["root"]) else "/")
print(json.dumps({"containers": containers, "now": time.time(), "free": disk.free, "total": disk.total}))

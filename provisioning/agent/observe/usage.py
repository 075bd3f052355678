"""Read what the containers of a project use."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from typing import Any, Optional

from provisioning.agent.observe.messages import ContainerUsage, ReadUsage, Usage
from provisioning.agent.protocol import Refused

UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
COMMAND_SECONDS = 20


def handle(request: ReadUsage) -> Usage:
    """Return the usage of containers and disk."""
    label = "label=com.docker.compose.project=" + request.project
    ids = _docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()
    inspected = json.loads(_docker("inspect", *ids)) if ids else []
    containers = {item["Id"]: _usage(item, request) for item in inspected}
    unknown = [name for name, found in containers.items() if found.memory is None and found.started]
    for name, used in (_memory_from_docker(unknown) if unknown else {}).items():
        containers[name] = replace(containers[name], memory=used)
    disk = shutil.disk_usage(request.root if os.path.isdir(request.root) else "/")
    return Usage(containers, time.time(), disk.free, disk.total)


def _usage(item: dict[str, Any], request: ReadUsage) -> ContainerUsage:
    state = item["State"]
    values = dict(entry.partition("=")[::2] for entry in item["Config"].get("Env") or [])
    running = state["Status"] == "running"
    return ContainerUsage(
        memory=_memory_from_cgroup(state["Pid"]) if running and state.get("Pid") else None,
        memory_limit=(item.get("HostConfig") or {}).get("Memory") or None,
        restarts=item.get("RestartCount", 0),
        started=state.get("StartedAt") if running else None,
        environment={name: values[name] for name in request.names if name in values},
    )


def _docker(*argv: str) -> str:
    done = subprocess.run(
        ["docker", *argv], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode != 0:
        raise Refused(f"docker {argv[0]}: {done.stderr.strip()}")
    return done.stdout


def _memory_from_cgroup(pid: int) -> Optional[int]:
    """Return the kernel's count, which is there at once; Docker's own takes two seconds."""
    try:
        groups = [line.split(":", 2) for line in _text(f"/proc/{pid}/cgroup").splitlines()]
        for _, controllers, path in groups:
            unified = not controllers
            if not unified and "memory" not in controllers.split(","):
                continue
            home = "/sys/fs/cgroup" + ("" if unified else "/memory") + path
            used = int(_text(home + ("/memory.current" if unified else "/memory.usage_in_bytes")))
            cache = "inactive_file" if unified else "total_inactive_file"
            stat = dict(line.split() for line in _text(home + "/memory.stat").splitlines())
            return max(0, used - int(stat.get(cache, 0)))
    except (OSError, ValueError):
        pass
    return None


def _text(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


def _memory_from_docker(ids: list[str]) -> dict[str, int]:
    """Return memory by container id, for what the kernel does not show here."""
    try:
        rows = _docker("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}", *ids)
    except (Refused, subprocess.TimeoutExpired):
        return {}
    found: dict[str, int] = {}
    for row in rows.splitlines():
        match = re.match(r"(\w+) ([\d.]+)([A-Za-z]+)", row)
        if match and match[3] in UNITS:
            found[match[1]] = int(float(match[2]) * UNITS[match[3]])
    return found

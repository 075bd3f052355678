"""Print as JSON whether this host can take a release. Arguments: cloud-init's run directory, our root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

run_dir, root = sys.argv[1:3]


def read(name: str) -> dict[str, Any]:
    try:
        with open(os.path.join(run_dir, name)) as file:
            found: dict[str, Any] = json.load(file).get("v1", {})
            return found
    except (OSError, ValueError):
        return {}


def say(*argv: str) -> tuple[str, str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return (done.stdout.strip(), "") if done.returncode == 0 else ("", done.stderr.strip())


facts: dict[str, Any] = {"cloud_init": "absent", "cloud_init_error": "", "warnings": []}
if os.path.isdir(run_dir) and not os.path.exists(os.path.join(run_dir, "disabled")):
    result = read("result.json")
    facts["cloud_init"] = "running"
    if result:
        errors = result.get("errors") or []
        facts["cloud_init"] = "failed" if errors else "done"
        facts["cloud_init_error"] = "; ".join(map(str, errors))[:500]
    stages = [stage for stage in read("status.json").values() if isinstance(stage, dict)]
    for stage in stages if result else []:
        for level, texts in (stage.get("recoverable_errors") or {}).items():
            if level != "DEPRECATED":
                facts["warnings"] += [f"cloud-init: {text}"[:300] for text in texts]
elif shutil.which("cloud-init") and not os.path.exists(os.path.join(run_dir, "disabled")):
    facts["cloud_init"] = "running"

facts["docker_cli"] = bool(shutil.which("docker"))
facts["docker"], facts["daemon_error"] = (
    say("docker", "version", "--format", "{{.Server.Version}}") if facts["docker_cli"] else ("", "")
)
facts["compose"] = say("docker", "compose", "version", "--short")[0] if facts["docker_cli"] else ""
facts["root_writable"] = os.path.isdir(root) and os.access(root, os.W_OK)
facts["free_bytes"] = shutil.disk_usage(root if os.path.isdir(root) else "/").free
print(json.dumps(facts))

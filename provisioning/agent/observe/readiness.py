"""Read whether the host is ready to take a release."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from provisioning.agent.files import read_json
from provisioning.agent.observe.messages import Readiness, ReadReadiness

COMMAND_SECONDS = 20


def handle(request: ReadReadiness) -> Readiness:
    """Return the state of cloud-init, Docker, compose, the root and the disk."""
    state, error, warnings = _cloud_init(request.run_dir)
    has_docker = bool(shutil.which("docker"))
    docker, daemon_error = (
        _run("docker", "version", "--format", "{{.Server.Version}}") if has_docker else ("", "")
    )
    root = request.root
    return Readiness(
        cloud_init=state,
        cloud_init_error=error,
        warnings=tuple(warnings),
        docker_cli=has_docker,
        docker=docker,
        daemon_error=daemon_error,
        compose=_run("docker", "compose", "version", "--short")[0] if has_docker else "",
        root_writable=os.path.isdir(root) and os.access(root, os.W_OK),
        free_bytes=shutil.disk_usage(root if os.path.isdir(root) else "/").free,
    )


def _cloud_init(run_dir: str) -> tuple[str, str, list[str]]:
    """Return the state, the errors, and warnings."""
    if os.path.exists(os.path.join(run_dir, "disabled")):
        return "absent", "", []
    if not os.path.isdir(run_dir):
        return ("running" if shutil.which("cloud-init") else "absent"), "", []
    result = _read(run_dir, "result.json")
    if not result:
        return "running", "", []
    errors = result.get("errors") or []
    warnings: list[str] = []
    for stage in _read(run_dir, "status.json").values():
        found = (stage.get("recoverable_errors") or {}) if isinstance(stage, dict) else {}
        for level, texts in found.items():
            if level != "DEPRECATED":
                warnings += [f"cloud-init: {text}"[:300] for text in texts]
    return ("failed" if errors else "done"), "; ".join(map(str, errors))[:500], warnings


def _read(run_dir: str, name: str) -> dict[str, Any]:
    value = read_json(os.path.join(run_dir, name))
    found = value.get("v1") if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _run(*argv: str) -> tuple[str, str]:
    """Return output and error of a command; one of them is empty."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return (done.stdout.strip(), "") if done.returncode == 0 else ("", done.stderr.strip())

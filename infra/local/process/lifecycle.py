"""Starting, finding and ending the daemon of a cloud, and the network that its instances share."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.local.errors import (
    DockerFailedError,
    NetworkConflictError,
    NotRunningError,
    NotStartedError,
    PortTakenError,
)
from infra.local.images.host_image import prepare
from infra.local.instances.instance import survey_argv
from infra.local.settings import CLOUD_LABEL, REPO_ROOT, STATUS_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.local.docker import DockerCommand
    from infra.local.settings import CloudSettings

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_LOG_TAIL: Final = 5
_LOCK_FILE: Final = "start.lock"
SETTINGS_FILE: Final = "settings.json"
_CA_DIR: Final = Path("/usr/local/share/ca-certificates")


def status(settings: CloudSettings, timeout: float = 30.0) -> dict[str, Any] | None:
    """Return the status of this cloud's daemon; None when none answers."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=timeout)
    try:
        connection.request("GET", STATUS_PATH)
        answer = connection.getresponse()
        content = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return content if isinstance(content, dict) and content.get("name") == settings.name else None


def daemon_pid(settings: CloudSettings) -> int | None:
    """Return the daemon's process id; None when its pid file is missing or stale (process gone, or not ours)."""
    try:
        pid = int(settings.pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    ours = b"infra.local" in command and str(settings.state_dir).encode() in command
    return pid if ours else None


def daemon_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the daemon's environment: the caller's, without variables that configure moto or AWS accounts."""
    return {name: value for name, value in environment.items() if not name.startswith(("AWS_", "MOTO_"))}


def start(
    settings: CloudSettings,
    docker: DockerCommand,
    progress: Callable[[str], None],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Start the cloud unless it runs; return its status. Raises LocalCloudError."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.state_dir / _LOCK_FILE).open("w") as lock:
        # Two starts at once: the second one waits, and finds the cloud running.
        fcntl.flock(lock, fcntl.LOCK_EX)
        host_image = prepare(docker, progress)
        if daemon_pid(settings) is not None:
            return _await_answer(settings, None)
        _require_free("127.0.0.1", settings.port)
        _ensure_network(settings, docker)
        _require_free(str(settings.gateway), settings.registry_port)
        (settings.state_dir / SETTINGS_FILE).write_text(settings.to_json())
        return _await_answer(settings, _launch(settings, host_image, environment))


def _launch(
    settings: CloudSettings, host_image: str, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "infra.local",
        "serve",
        "--state-dir",
        str(settings.state_dir),
        host_image,
    ]
    with settings.log_file.open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=REPO_ROOT,
            env=daemon_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    settings.pid_file.write_text(f"{process.pid}\n")
    return process


def _await_answer(settings: CloudSettings, process: subprocess.Popen[bytes] | None) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        answer = status(settings)
        if answer is not None:
            return answer
        if process is not None and process.poll() is not None:
            settings.pid_file.unlink(missing_ok=True)
            break
        time.sleep(_POLL_SECONDS)
    tail = settings.log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    raise NotStartedError(
        f"The local cloud '{settings.name}' did not start: {' | '.join(tail)}",
        f"Its log: {settings.log_file}",
    )


def stop(settings: CloudSettings) -> None:
    """End the daemon; instances keep running. Raises NotRunningError when there is none."""
    pid = daemon_pid(settings)
    if pid is None:
        settings.pid_file.unlink(missing_ok=True)
        raise NotRunningError(settings.name)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while daemon_pid(settings) is not None:
        if time.monotonic() > deadline:
            raise NotStartedError(
                f"Process {pid} does not end.", f"Look into {settings.log_file}, then: kill -9 {pid}"
            )
        time.sleep(_POLL_SECONDS)
    settings.pid_file.unlink(missing_ok=True)


def remove_everything(settings: CloudSettings, docker: DockerCommand) -> None:
    """Remove this cloud's containers, volumes, network and state. The daemon must have ended."""
    containers = docker.run(survey_argv(settings)).split()
    names = docker.run(["inspect", "--format", "{{.Name}}", *containers]).split() if containers else []
    if containers:
        docker.run(["rm", "--force", "--volumes", *containers])
    for name in names:
        docker.run(["volume", "rm", "--force", name.removeprefix("/")])
    if _network_subnet(settings, docker) is not None:
        docker.run(["network", "rm", settings.network])
    shutil.rmtree(settings.state_dir / "instances", ignore_errors=True)
    own = (settings.state_file, settings.pid_file, settings.log_file)
    for path in (*own, settings.state_dir / SETTINGS_FILE, settings.state_dir / _LOCK_FILE):
        path.unlink(missing_ok=True)


def ca_files(directory: Path = _CA_DIR) -> list[str]:
    """Return the certificate authorities that this machine's administrator has added."""
    return sorted(str(path) for path in directory.rglob("*.crt")) if directory.is_dir() else []


def _require_free(address: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise PortTakenError(address, port) from error


def _network_subnet(settings: CloudSettings, docker: DockerCommand) -> str | None:
    try:
        form = "{{range .IPAM.Config}}{{.Subnet}}{{end}}"
        return docker.run(["network", "inspect", "--format", form, settings.network]).strip()
    except DockerFailedError:
        return None


def _ensure_network(settings: CloudSettings, docker: DockerCommand) -> None:
    existing = _network_subnet(settings, docker)
    if existing == str(settings.subnet):
        return
    hint = f"Remove the old one (python -m infra.local stop --all --name {settings.name}), or choose another --subnet."
    if existing is not None:
        raise NetworkConflictError(f"Network {settings.network} exists with subnet {existing}.", hint)
    try:
        docker.run(network_argv(settings))
    except DockerFailedError as error:
        raise NetworkConflictError(
            f"Network {settings.network} cannot be created: {error.detail}", hint
        ) from error


def network_argv(settings: CloudSettings) -> list[str]:
    """Return the argv of `docker network create` for the cloud."""
    argv = ["network", "create", "--driver", "bridge", "--label", f"{CLOUD_LABEL}={settings.name}"]
    argv += ["--subnet", str(settings.subnet), "--ip-range", str(settings.instance_range)]
    return [*argv, "--gateway", str(settings.gateway), settings.network]

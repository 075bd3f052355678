"""The Docker command line; the only module that runs it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Protocol

from infra.local.errors import DockerFailedError, DockerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TIMEOUT_SECONDS = 120.0


class Docker(Protocol):
    """Runs Docker commands: `argv` without the leading `docker`, answer is standard output."""

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = TIMEOUT_SECONDS) -> str:
        """Run the command; return its standard output. Raises DockerFailedError."""


class DockerCommand:
    """The `docker` program on PATH."""

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = TIMEOUT_SECONDS) -> str:
        """Return the command's standard output. Raises DockerFailedError; DockerUnavailableError without `docker`."""
        try:
            done = subprocess.run(
                ["docker", *argv],
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            raise DockerUnavailableError(
                "The docker program is not on PATH.", "Install Docker, for example: apt-get install docker.io"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise DockerFailedError(argv, 124, f"no answer within {timeout:.0f} s") from error
        if done.returncode != 0:
            raise DockerFailedError(argv, done.returncode, done.stderr or done.stdout)
        return done.stdout

    def show(self, argv: Sequence[str]) -> None:
        """Run with its output going to the terminal. Raises DockerFailedError."""
        done = subprocess.run(["docker", *argv], stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise DockerFailedError(argv, done.returncode, "see its output above")

    def save(self, image: str, path: Path) -> None:
        """Write the image to the file with `docker save`."""
        self.run(["save", "--output", str(path), image], timeout=600)

    def events(self, label: str) -> Iterator[str]:
        """Yield the names of container events (start, die, destroy) of containers with the label, as they happen."""
        argv = ["docker", "events", "--filter", f"label={label}", "--filter", "type=container"]
        for event in ("start", "die", "destroy"):
            argv += ["--filter", f"event={event}"]
        with subprocess.Popen(
            [*argv, "--format", "{{.Status}}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                yield from (line.strip() for line in process.stdout or ())
            finally:
                process.terminate()


def check_engine(docker: Docker) -> None:
    """Raise DockerUnavailableError unless an engine answers that shares this machine's kernel, network and root."""
    try:
        info: dict[str, Any] = json.loads(docker.run(["info", "--format", "{{json .}}"], timeout=30))
    except DockerFailedError as error:
        raise DockerUnavailableError(
            f"No Docker engine answers: {error.detail}",
            "Start it (systemctl start docker), or join the group docker.",
        ) from error
    if info.get("ServerErrors"):
        raise DockerUnavailableError(
            f"No Docker engine answers: {info['ServerErrors'][0]}",
            "Start it (systemctl start docker), or join the group docker.",
        )
    if "Docker Desktop" in str(info.get("OperatingSystem", "")):
        raise DockerUnavailableError(
            "Docker Desktop keeps containers in a virtual machine, where their addresses cannot be reached.",
            "Use Docker Engine on Linux (or in a Linux virtual machine, together with this repo).",
        )
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or ()):
        raise DockerUnavailableError(
            "Rootless Docker cannot run instances: they need cgroups and a network of their own.",
            "Use the system's Docker Engine (docker context use default).",
        )

"""The rehearsal host that all contestants work on, seen from outside: its address, its wire, its containers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.config.stack_outputs import read_outputs
from provisioning.errors import ProvisioningError

PATIENCE_SECONDS = 60.0
LONGEST_RUN_SECONDS = 900.0


class NoHost(RuntimeError):
    """There is no rehearsal host to measure on."""


class RunFailed(RuntimeError):
    """A contestant's command failed; the end of what it said."""


@dataclass(frozen=True)
class Rehearsal:
    """One host of the local cloud."""

    project_root: Path
    stack: str
    address: str
    user: str
    key_file: Path
    host_key: str
    container: str
    """The container that stands for the instance."""

    @classmethod
    def of(cls, project_root: Path, stack: str) -> Rehearsal:
        """Return the host of a stack that is up. Raises NoHost."""
        try:
            outputs = read_outputs(project_root, stack)
        except ProvisioningError as error:
            raise NoHost(f"the stack {stack} is not up ({error})") from error
        label = f"label=io.onebox.instance={outputs.instance_id}"
        found = _output(["docker", "ps", "--quiet", "--filter", label]).split()
        if not found:
            raise NoHost(f"the stack {stack} has no host on this machine")
        return cls(
            project_root=project_root,
            stack=stack,
            address=outputs.public_ip,
            user=outputs.ssh_user,
            key_file=project_root / outputs.ssh_private_key_file,
            host_key=outputs.host_public_key,
            container=found[0],
        )

    def wire_bytes(self) -> int:
        """Return the bytes that crossed the host's interface until now, headers included, in both directions."""
        folder = "/sys/class/net/eth0/statistics"
        counted = self.run("cat", f"{folder}/rx_bytes", f"{folder}/tx_bytes")
        return sum(map(int, counted.split()))

    def run(self, *argv: str, root: bool = False) -> str:
        """Run a command on the host without touching its network; its output."""
        return _output(["docker", "exec", "--user", "root" if root else self.user, self.container, *argv])

    def remove(self, project: str, *places: str) -> None:
        """Remove containers, volumes and images of a compose project, and these paths."""
        self.run("docker", "compose", "--project-name", project, "down", "--volumes", "--remove-orphans")
        names = self.run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        own = [name for name in names if name.startswith(f"{project}/")]
        if own:
            self.run("docker", "image", "rm", "--force", *own)
        for place in places:
            # The directory itself may belong to root; what is in it goes.
            self.run("mkdir", "-p", place)
            self.run("find", place, "-mindepth", "1", "-delete", root=True)

    def healthy(self, project: str) -> bool:
        """Return whether every container of a project runs and is healthy."""
        label = f"label=com.docker.compose.project={project}"
        found = self.run("docker", "ps", "--all", "--filter", label, "--format", "{{.Status}}").splitlines()
        return bool(found) and all("(healthy)" in line for line in found)

    def has_code(self, port: int, mark: str) -> bool:
        """Return whether the API that answers at this port runs the marked file."""
        return mark in self.run("curl", "-sf", f"http://127.0.0.1:{port}/openapi.json")

    def has_pages(self, port: int, digest: str) -> bool:
        """Return whether the UI that answers at this port serves these pages, and has opened each of them once."""
        found = json.loads(self.run("curl", "-s", f"http://127.0.0.1:{port}/code"))
        return (found["serving"], found["tried"]) == (digest, True)

    def has_rule(self, port: int, mark: str) -> bool:
        """Return whether the Prometheus behind this port has loaded the marked rule."""
        return mark in self.run("curl", "-sf", f"http://127.0.0.1:{port}/api/v1/rules")


@dataclass(frozen=True)
class Measured:
    """Seconds by the clock, and bytes on the wire."""

    seconds: float
    wire_bytes: int


def measure(host: Rehearsal, run: Callable[[], None]) -> Measured:
    """Measure one run."""
    before, began = host.wire_bytes(), time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    return Measured(seconds, host.wire_bytes() - before)


def prove(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something holds that a contestant claims to have done. Raises RunFailed."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > ends:
            raise RunFailed(f"it said that it was done, but {what} is not there")
        time.sleep(0.2)


def call(argv: Sequence[str], place: Path, environment: dict[str, str]) -> str:
    """Run a contestant's command; its output. Raises RunFailed."""
    done = subprocess.run(
        argv,
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RunFailed(f"{argv[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without the variables of this repository's tools."""
    ours = ("PYTHON", "ONEBOX_", "PULUMI_", "VIRTUAL_ENV", "ANSIBLE_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


def _output(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise RunFailed(f"{' '.join(argv[:6])} … failed: {done.stderr.strip()[-500:]}")
    return done.stdout

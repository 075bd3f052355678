"""A release of two tiny services with a root of its own on the real host, so that a round takes seconds.

Everything around it is real: sshd, the disk, Docker, BuildKit, compose, health checks.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provisioning.config.settings import PushSettings, Target
from provisioning.deploy.push import PushResult, push_release
from provisioning.events import Event, StepStarted, silent
from provisioning.host.drift import HostStatus, read_status
from tests.e2e.faults.real_host import RealHost

COMPOSE = """\
x-service: &service
  init: true
  user: "10001:10001"
  stop_grace_period: 1s
  network_mode: none
  healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 1s, retries: 3, start_period: 30s, start_interval: 200ms}

services:
  first:
    <<: *service
    build: {context: ./first}
    image: NAME/first:${ONEBOX_FIRST_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_FIRST_DIGEST:-dev}"}
    volumes: ["${ONEBOX_BLOBS_DIR:-./blobs}:/srv/blobs:ro"]
  second:
    <<: *service
    build: {context: ./second}
    image: NAME/second:${ONEBOX_SECOND_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_SECOND_DIGEST:-dev}"}
    depends_on: [first]
"""
DOCKERFILE = 'FROM debian:trixie-slim\nCOPY . /srv/\nCMD ["sh", "/srv/run.sh"]\n'
RUN = "touch /tmp/ready\nexec sleep infinity\n"
HOME = "/opt/faults"

_STATE = """
import hashlib, json, os, subprocess, sys
root, project = sys.argv[1:]
lines = []
for part in ("current", "releases", "data", "secrets", "incoming", "live"):
    start = os.path.join(root, part)
    if os.path.islink(start):
        lines.append(part + " -> " + os.readlink(start))
        continue
    for folder, names, files in os.walk(start):
        for name in sorted([*names, *files]):
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            kind = "directory" if os.path.isdir(path) else hashlib.sha256(open(path, "rb").read()).hexdigest()
            lines.append("%s %o %d %s" % (os.path.relpath(path, root), seen.st_mode, seen.st_uid, kind))
ids = subprocess.check_output(
    ["docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=" + project], text=True).split()
for item in json.loads(subprocess.check_output(["docker", "inspect", *ids])) if ids else []:
    health = (item["State"].get("Health") or {}).get("Status")
    mounts = sorted(mount["Source"] for mount in item["Mounts"])
    lines.append(json.dumps([item["Name"], item["Config"]["Image"], item["State"]["Status"], health, mounts]))
images = subprocess.check_output(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], text=True)
lines += [line for line in images.split() if line.startswith(project + "/")]
print("\\n".join(sorted(lines)))
"""


@dataclass
class Small:
    """A small project and where it goes. Its release changes with what is written into it."""

    host: RealHost
    name: str
    project: Path
    root: str

    def write(self, path: str, content: str | bytes) -> None:
        """A file of the project."""
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def settings(self, target: Target | None = None, **more: Any) -> PushSettings:
        """Of a push of this project as it is now."""
        values = {"deadline_seconds": 120, "wait_seconds": 30, "min_free_bytes": 0, **more}
        return PushSettings(
            target or self.host.target,
            self.project,
            remote_root=self.root,
            project_name=self.name,
            open_ports=frozenset({22}),
            **values,
        )

    def push(
        self, report: Callable[[Event], None] = silent, target: Target | None = None, **more: Any
    ) -> PushResult:
        return push_release(self.settings(target, **more), report)

    def through(self, port: int) -> Target:
        """The host as it is reached through a port of this machine."""
        return replace(self.host.target, host="127.0.0.1", port=port)

    def status(self) -> HostStatus:
        return read_status(self.settings())

    def current(self) -> str:
        """The release that serves."""
        return self.host.sh(f"basename $(readlink {self.root}/current)").strip()

    def ids(self) -> dict[str, str]:
        return self.host.ids(self.name)

    def parts(self) -> list[str]:
        """What is half made below the root."""
        names = r"-name '*.part*' -o -name '*.partial' -o -name '*.new' -o -path '*/incoming/*'"
        return self.host.sh(f"find {self.root} {names}").split()

    def state(self) -> list[str]:
        """Everything that this project is on the host, a line each: files, links, containers, images."""
        return self.host.inside("python3", "-c", _STATE, self.root, self.name).splitlines()

    def state_hash(self) -> str:
        return hashlib.sha256("\n".join(self.state()).encode()).hexdigest()[:16]

    def wait_until_free(self) -> None:
        """Until the lock, and the last step of a push that is gone, have ended."""
        for lock in ("push.lock", "steps.lock"):
            self.host.inside("flock", "--timeout", "60", f"{self.root}/{lock}", "true")

    def remove(self) -> None:
        """Take everything of it off the host."""
        label = f"label=com.docker.compose.project={self.name}"
        self.host.sh(
            f"docker ps -aq --filter {label} | xargs -r docker rm -f >/dev/null; "
            f"docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep '^{self.name}/' "
            f"| xargs -r docker image rm -f >/dev/null; "
            f"docker network ls -q --filter {label} | xargs -r docker network rm >/dev/null; "
            f"rm -rf {self.root}"
        )


def make_small(host: RealHost, name: str, project: Path) -> Small:
    """The project on this machine, and an empty root for it on the host."""
    shutil.rmtree(project, ignore_errors=True)
    small = Small(host, name, project, f"{HOME}/{name}")
    small.write("docker-compose.yml", COMPOSE.replace("NAME", name))
    for service in ("first", "second"):
        small.write(f"{service}/Dockerfile", DOCKERFILE)
        small.write(f"{service}/run.sh", RUN)
    small.write("blobs/one", "one\n")
    user = host.target.user
    host.inside("install", "-d", "-o", user, "-g", user, "-m", "0755", small.root)
    return small


class At:
    """A report that calls something once, when a step begins."""

    def __init__(self, step: str, act: Callable[[], object]) -> None:
        self.step = step
        self.act = act
        self.reached = False
        self.steps: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self.steps.append(event.step)
            if event.step == self.step and not self.reached:
                self.reached = True
                self.act()


def client_spec(settings: PushSettings) -> str:
    """Settings as a line for `client.py`."""
    target = settings.target
    return json.dumps(
        {
            "host": target.host,
            "port": target.port,
            "user": target.user,
            "key": str(target.private_key_file),
            "host_keys": target.host_keys,
            "project": str(settings.project_root),
            "root": settings.remote_root,
            "name": settings.project_name,
            "wait_seconds": settings.wait_seconds,
        }
    )

"""A project, and a host: a real SSH server that runs the remote scripts in a temporary directory."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from provisioning import cli
from provisioning.cli import session
from provisioning.config.settings import PushSettings, Target
from provisioning.deploy.push import PushResult, push_release
from provisioning.events import Event, silent
from tests.link import Link
from tests.provisioning.secret_projects import with_secrets

HERE = Path(__file__).parent

COMPOSE = """\
services:
  api:
    build: {context: ./app}
    image: onebox/api:${ONEBOX_API_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_API_DIGEST:-dev}"}
    environment: {MODEL_V1_WEIGHT: "${MODEL_V1_WEIGHT:-50}"}
    volumes: ["${ONEBOX_MODELS_DIR:-./models}:/srv/models:ro"]
  web:
    build: ./ui
    image: onebox/web:${ONEBOX_WEB_DIGEST:-dev}
    labels: ["io.onebox.service-digest=${ONEBOX_WEB_DIGEST:-dev}"]
    depends_on: [api]
"""


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"onebox_tests_{name}", HERE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sshd_module = _load("sshd")


def write_project(root: Path) -> Path:
    """A project of two services, one with data."""
    for path, text in {
        "docker-compose.yml": COMPOSE,
        "app/Dockerfile": "FROM scratch\nCOPY . /srv\n",
        "app/server.py": "print('api')\n",
        "models/model.onnx": "model",
        "ui/Dockerfile": "FROM scratch\nCOPY . /srv\n",
        "ui/page.py": "print('web')\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.fixture
def make_key() -> Any:
    return sshd_module.make_key


@dataclass
class FakeHost:
    """The host of a test: its SSH server, its disk below `home`, and the fake Docker's records."""

    sshd: Any
    home: Path
    target: Target
    host_key: str
    project: Path

    @property
    def root(self) -> Path:
        return self.home / "onebox"

    @property
    def docker(self) -> Path:
        return self.home / "docker"

    def calls(self) -> list[list[str]]:
        """What Docker was told to change since the last look."""
        file = self.docker / "calls.jsonl"
        if not file.exists():
            return []
        found = [json.loads(line) for line in file.read_text().splitlines()]
        file.unlink()
        return found

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.docker / "state.json").read_text())
        return found

    def settings(self, **more: Any) -> PushSettings:
        values = {"remote_root": str(self.root), "open_ports": frozenset({22}), "deadline_seconds": 60}
        return PushSettings(
            self.target, self.project, **{**values, "min_free_bytes": 0, "wait_seconds": 5, **more}
        )

    def push_agreed(self, agreed: Any, **more: Any) -> PushResult:
        """A push bound to a plan."""
        run_dir = str(self.home / "cloud-init")
        return push_release(self.settings(**more), agreed=agreed, run_dir=run_dir)

    def push(self, report: Any = silent, **more: Any) -> PushResult:
        return push_release(self.settings(**more), report, run_dir=str(self.home / "cloud-init"))


@pytest.fixture
def host(tmp_path: Path, project: Path) -> Iterator[FakeHost]:
    home = tmp_path / "host"
    for name in ("bin", "docker", "onebox"):
        (home / name).mkdir(parents=True)
    docker = home / "bin" / "docker"
    docker.write_text(f"#!{sys.executable} -IS\n" + (HERE / "fake_docker.py").read_text())
    docker.chmod(0o755)
    # The host's python3 is this one: a shim of a version manager would depend on the home directory.
    (home / "bin" / "python3").symlink_to(sys.executable)
    sudo = home / "bin" / "sudo"
    sudo.write_text('#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n')
    sudo.chmod(0o755)
    login_key = sshd_module.make_key(tmp_path / "login_key")
    host_key = sshd_module.make_key(tmp_path / "host_key")
    environment = {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        # Never the Docker of this machine, which a script would find at its socket.
        "DOCKER_CONTEXT": "stand-in",
    }
    sshd = sshd_module.Sshd(tmp_path / "host_key", login_key, environment)
    target = Target("127.0.0.1", "admin", tmp_path / "login_key", (host_key,), sshd.port)
    yield FakeHost(sshd, home, target, host_key, project)
    sshd.stop()
    shutil.rmtree(home)


class Events:
    """Collects what a push reports."""

    def __init__(self) -> None:
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.seen.append(event)

    def text(self) -> str:
        return "\n".join(map(str, self.seen))


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def link_to() -> Iterator[Callable[[int], Link]]:
    """link_to(port): a line to a server on this machine."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(Link("127.0.0.1", port))


@pytest.fixture
def link(host: FakeHost, link_to: Callable[[int], Link]) -> Link:
    return link_to(host.sshd.port)


@pytest.fixture
def run(host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(session, "settings", lambda _stack: host.settings())
    return lambda *words: CliRunner().invoke(cli.app, words)


@pytest.fixture
def secret_host(host: Any) -> Any:
    with_secrets(host.project)
    if os.getuid() != 0:
        # Only root gives files away; everything else is as on a host.
        chown = host.home / "bin" / "chown"
        chown.write_text("#!/bin/sh\n")
        chown.chmod(0o755)
    return host

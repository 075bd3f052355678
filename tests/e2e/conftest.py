"""One real stack for the whole session: a copy of this checkout, brought up by the same command that users run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
# Two runs on one machine need a name and ports each.
STACK = os.environ.get("ONEBOX_E2E_STACK", "e2e")
CLOUD_OPTIONS = os.environ.get(
    "ONEBOX_E2E_CLOUD_OPTIONS", "--port 4578 --subnet 172.29.92.0/24 --registry-port 5578"
)
# A checkout whose stack is up already: it is used as it is, and left up. For work on a single test.
CHECKOUT = os.environ.get("ONEBOX_E2E_CHECKOUT")
MINUTE = 60


@dataclass(frozen=True)
class Checkout:
    """A working copy with its own state, stack and local cloud."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """As a user's shell would have it: nothing of the shell that runs the tests leads the engine."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULUMI_", "ONEBOX_", "AWS_ACCESS", "AWS_SECRET", "PYTHONPATH"))
        }
        return {**inherited, "ONEBOX_STACK": STACK, "ONEBOX_CLOUD_OPTIONS": CLOUD_OPTIONS}

    def run(
        self, *argv: str, timeout: float = 10 * MINUTE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The command in the environment of tools/env.sh; whatever it exits with."""
        line = f". tools/env.sh && exec {shlex.join(argv)}"
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.root,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def do(self, *argv: str, timeout: float = 10 * MINUTE, **environment: str) -> str:
        """The same, and it must succeed; gives what it said on both streams."""
        done = self.run(*argv, timeout=timeout, **environment)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{shlex.join(argv)} exited with {done.returncode}:\n{said}"
        return said

    def pulumi(self, verb: str, *args: str) -> str:
        """`pulumi VERB` on the stack, without questions."""
        yes = [] if verb == "preview" else ["--yes", "--skip-preview"]
        return self.do("pulumi", verb, "--stack", STACK, "--non-interactive", *yes, *args)

    def outputs(self) -> dict[str, Any]:
        """What `pulumi stack output --json` shows."""
        done = self.run("pulumi", "stack", "output", "--stack", STACK, "--json")
        assert done.returncode == 0, done.stderr
        outputs: dict[str, Any] = json.loads(done.stdout)
        return outputs

    def on_host(self, script: str) -> str:
        """What a shell on the host answers, reached by the command that the stack prints."""
        argv = [*shlex.split(self.outputs()["ssh_command"]), "-o", "BatchMode=yes", script]
        done = subprocess.run(
            argv, cwd=self.root, capture_output=True, text=True, timeout=MINUTE, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self) -> dict[str, tuple[str, str]]:
        """Container id and start time of each service on the host."""
        found = self.on_host(
            "docker ps --no-trunc --filter label=com.docker.compose.project=onebox --format "
            "'{{.Label \"com.docker.compose.service\"}} {{.ID}}' | while read s id; do "
            'echo "$s $id $(docker inspect --format {{.State.StartedAt}} $id)"; done'
        )
        return {words[0]: (words[1], words[2]) for words in (line.split() for line in found.splitlines())}

    def predict(self) -> dict[str, Any]:
        """A prediction through the public address."""
        answer = requests.post(
            f"{self.outputs()['api_url']}/predict", json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=10
        )
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content


@contextmanager
def changed(file: Path, text: str) -> Iterator[None]:
    """The file with another content for a while."""
    before = file.read_text()
    file.write_text(text)
    try:
        yield
    finally:
        file.write_text(before)


def copy_checkout(target: Path) -> Checkout:
    """This checkout's files as git would hand them out, with the tools that are already there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    (target / ".onebox").mkdir()
    (target / ".venv").symlink_to((ROOT / ".venv").resolve())
    return Checkout(target)


def missing_tools() -> list[str]:
    """What the real thing needs and this machine lacks."""
    lacks = [
        f"{program} (make test installs it as root on Debian)"
        for program in ("chromium", "faketime")
        if not shutil.which(program)
    ]
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        lacks.append("a Docker daemon that answers (make setup)")
    return lacks


@pytest.fixture(scope="session")
def first_light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, str]]:
    """The checkout after `make up`, and what `make up` said."""
    lacks = missing_tools()
    if lacks and not os.environ.get("CI"):
        pytest.skip(f"not on this machine: {', '.join(lacks)}")
    assert not lacks, f"CI skips nothing, and this machine lacks {', '.join(lacks)}"
    if CHECKOUT:
        yield Checkout(Path(CHECKOUT).resolve()), ""
        return
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    try:
        yield checkout, checkout.do("make", "up", timeout=20 * MINUTE)
    finally:
        checkout.run("make", "down", timeout=5 * MINUTE)


@pytest.fixture(scope="session")
def rehearsal(first_light: tuple[Checkout, str]) -> Checkout:
    """The checkout whose stack is up."""
    return first_light[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The faults come when the stack is known to be well, and the tests that destroy it come last."""
    last = {"test_release_life.py": 1, "faults": 2}
    ends = ("test_destroy_leaves_nothing", "test_make_down_ends")

    def turn(item: pytest.Item) -> int:
        return 3 if item.name.startswith(ends) else max(last.get(part, 0) for part in item.path.parts)

    items.sort(key=turn)

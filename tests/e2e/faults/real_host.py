"""The rehearsal's host, with a way in that no fault of the network or of sshd can cut."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from provisioning.config.settings import PushSettings, Target
from provisioning.config.stack_outputs import StackOutputs, push_settings
from tests.e2e.conftest import STACK, Checkout

SSH_PORT = 22
Rule = Sequence[str]
BLACKHOLE: tuple[Rule, ...] = (
    ("INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP"),
    ("OUTPUT", "-p", "tcp", "--sport", "22", "-j", "DROP"),
)
RESET: tuple[Rule, ...] = (
    ("INPUT", "-p", "tcp", "--dport", "22", "-j", "REJECT", "--reject-with", "tcp-reset"),
)


@dataclass(frozen=True)
class RealHost:
    """An instance of the local cloud: `inside` acts as root in it, past its network."""

    container: str
    settings: PushSettings
    instance_id: str

    @property
    def target(self) -> Target:
        return self.settings.target

    @property
    def address(self) -> str:
        return self.target.host

    def inside(self, *argv: str, check: bool = True, given: str = "", seconds: float = 120) -> str:
        """What a command prints that runs as root inside; `given` is its input."""
        done = subprocess.run(
            ["docker", "exec", "--interactive", self.container, *argv],
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, f"{argv[:3]}: {done.stdout}{done.stderr}"
        return done.stdout

    def sh(self, script: str, *, check: bool = True) -> str:
        """The same for a few lines of shell."""
        return self.inside("sh", "-euc", script, check=check)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """A command that goes on inside, with its output to read."""
        return subprocess.Popen(
            ["docker", "exec", self.container, *argv], stdout=subprocess.PIPE, text=True, bufsize=1
        )

    @contextmanager
    def filtered(self, rules: tuple[Rule, ...]) -> Iterator[None]:
        """Packet filter rules in force in the host's network namespace."""
        for chain, *rest in rules:
            self.inside("iptables", "-I", chain, *rest)
        try:
            yield
        finally:
            for chain, *rest in rules:
                self.inside("iptables", "-D", chain, *rest)

    def write_key(self, user: str) -> None:
        """Let the stack's key in for another user, as cloud-init does some time after sshd came up."""
        home = f"/home/{user}/.ssh"
        self.sh(
            f"install -d -m 700 -o {user} {home}; install -m 600 -o {user} "
            f"/home/{self.target.user}/.ssh/authorized_keys {home}/authorized_keys"
        )

    def ids(self, project: str) -> dict[str, str]:
        """Service -> container id of a compose project."""
        rows = self.inside(
            *("docker", "ps", "--no-trunc", "--filter", f"label=com.docker.compose.project={project}"),
            *("--format", '{{.Label "com.docker.compose.service"}} {{.ID}}'),
        )
        return dict(row.split() for row in rows.splitlines())

    def healthy(self, project: str) -> bool:
        """Whether every container of a project runs and says that it is healthy."""
        rows = self.inside(
            *("docker", "ps", "--all", "--filter", f"label=com.docker.compose.project={project}"),
            *("--format", "{{.Status}}"),
        ).splitlines()
        return bool(rows) and all("(healthy)" in row for row in rows)


def real_host(checkout: Checkout) -> RealHost:
    """The host of the checkout's stack."""
    done = checkout.run("pulumi", "stack", "output", "--stack", STACK, "--json", "--show-secrets")
    assert done.returncode == 0, done.stderr
    outputs = StackOutputs.from_mapping(json.loads(done.stdout))
    container = f"onebox-{STACK}-{outputs.instance_id}"
    return RealHost(container, push_settings(outputs, checkout.root), outputs.instance_id)

"""The outputs of a Pulumi stack: their names and types, how they are read, and the settings of a push in them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from provisioning.config.login import Login
from provisioning.config.pulumi_state import read_checkpoint
from provisioning.config.settings import PushSettings
from provisioning.errors import StackError

_SECONDS = 60


class OutputsError(ValueError):
    """The stack lacks outputs of a finished `pulumi up`; `missing` names them."""

    def __init__(self, missing: list[str]) -> None:
        self.missing = missing
        self.hint = "Run `pulumi up` for this stack first; `pulumi stack output` shows what it has."
        super().__init__(f"the stack has no output named {', '.join(missing)}")


@dataclass(frozen=True)
class StackOutputs:
    """The outputs of a stack after a successful `pulumi up`. Field names are their names."""

    public_ip: str
    api_url: str
    ui_url: str
    prometheus_url: str
    ssh_command: str
    host_key_fingerprint: str
    release: str
    """Digest of the release that the last `pulumi up` left serving."""
    host_public_key: str
    """The pinned host key: `ssh-ed25519 AAAA…`, without host name."""
    ssh_user: str
    ssh_private_key_file: str
    """Path as configured; relative paths start at the project's root."""
    instance_id: str
    open_ports: list[int]
    """The ports that at least one address may reach."""
    service_environment: dict[str, str]
    """Plain values for the services' environment, as configured in the stack."""
    ssh_public_key: str = ""
    """The key that may log in, `type base64`; it selects the ssh-agent's key when no file is configured."""
    ssh_jump: str = ""
    """The jump host as `user@host[:port]`; empty for none."""
    ssh_jump_host_key: str = ""
    service_secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Values of the services' secrets. A secret of the state."""
    digest_key: str = field(default="", repr=False)
    """Key of the digests of those values. A secret of the state."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return the outputs from `pulumi stack output --json`.

        Raises OutputsError naming every output that is missing; those with a default may be.
        Ignores unknown names.
        """
        needed = [item.name for item in fields(cls) if item.default is item.default_factory is MISSING]
        missing = [name for name in needed if name not in values]
        if missing:
            raise OutputsError(missing)
        return cls(**{item.name: values[item.name] for item in fields(cls) if item.name in values})

    @property
    def login(self) -> Login:
        """Return the login to the host. Raises SettingsError."""
        return Login.of(vars(self), "ssh_")


def read_outputs(
    project_root: Path, stack: str | None, environment: Mapping[str, str] | None = None
) -> StackOutputs:
    """Return the outputs of a stack (None: the selected one). Raises StackError.

    Reads the engine's own file where that suffices, else runs the engine in `environment` (None: this process's).
    """
    environment = os.environ if environment is None else environment
    names = [item.name for item in fields(StackOutputs)]
    values = read_checkpoint(project_root, stack, names, environment)
    if values is not None:
        try:
            return StackOutputs.from_mapping(values)
        except OutputsError:
            # An update may be running; the engine decides.
            pass
    return _run_engine(project_root, stack, environment)


def _run_engine(project_root: Path, stack: str | None, environment: Mapping[str, str]) -> StackOutputs:
    argv = [
        "pulumi",
        "stack",
        "output",
        "--json",
        # Into this process's memory only: the push needs the services' secrets.
        "--show-secrets",
        "--non-interactive",
        *(["--stack", stack] if stack else []),
    ]
    name = f"stack {stack}" if stack else "the selected stack"
    try:
        done = subprocess.run(
            argv,
            cwd=project_root,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise StackError("pulumi is not on PATH", hint="Run `. tools/env.sh` first.") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"pulumi did not return the outputs of {name} within {_SECONDS} s") from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1].removeprefix("error: ")
        raise StackError(
            f"the outputs of {name} cannot be read: {reason}",
            hint="`pulumi stack ls` shows the stacks there are.",
        )
    try:
        return StackOutputs.from_mapping(json.loads(done.stdout))
    except ValueError as error:
        hint = error.hint if isinstance(error, OutputsError) else ""
        raise StackError(f"{name} cannot be used: {error}", hint=hint) from error


def push_settings(outputs: StackOutputs, project_root: Path) -> PushSettings:
    """Return the settings of a push to the stack's host. Raises SettingsError."""
    return PushSettings.of_stack(
        outputs.login.target(outputs.public_ip, (outputs.host_public_key,), project_root),
        project_root,
        outputs.service_environment,
        outputs.open_ports,
        outputs.service_secrets,
        outputs.digest_key,
    )

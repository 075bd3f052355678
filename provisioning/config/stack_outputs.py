"""From a Pulumi stack to what a push needs: the stack's outputs are the only link."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from infra.outputs import OutputsError, StackOutputs
from provisioning.config.passphrase import read_passphrase
from provisioning.config.pulumi_state import read_checkpoint
from provisioning.config.secrets import ServiceSecrets
from provisioning.config.settings import Jump, PushSettings, Target
from provisioning.errors import StackError

_SECONDS = 60


def read_outputs(
    project_root: Path, stack: str | None, environment: Mapping[str, str] | None = None
) -> StackOutputs:
    """The outputs of a stack (None: the selected one). Raises StackError.

    From the engine's own file where that is enough, else from the engine, which runs in `environment`
    (None: this process's).
    """
    environment = os.environ if environment is None else environment
    names = [item.name for item in fields(StackOutputs)]
    values = read_checkpoint(project_root, stack, names, environment)
    if values is not None:
        try:
            return StackOutputs.from_mapping(values)
        except OutputsError:
            # An update may be under way; the engine has the last word.
            pass
    return _ask_engine(project_root, stack, environment)


def _ask_engine(project_root: Path, stack: str | None, environment: Mapping[str, str]) -> StackOutputs:
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
        raise StackError(f"pulumi did not give the outputs of {name} within {_SECONDS} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].removeprefix("error: ")
        raise StackError(
            f"the outputs of {name} cannot be read: {said}",
            hint="`pulumi stack ls` shows the stacks there are.",
        )
    try:
        return StackOutputs.from_mapping(json.loads(done.stdout))
    except ValueError as error:
        hint = error.hint if isinstance(error, OutputsError) else ""
        raise StackError(f"{name} cannot be used: {error}", hint=hint) from error


def push_settings(outputs: StackOutputs, project_root: Path) -> PushSettings:
    """The settings of a push to the stack's host. Raises SettingsError."""
    configured = outputs.ssh_private_key_file
    key_file = project_root / Path(configured).expanduser() if configured else None
    target = Target(
        host=outputs.public_ip,
        user=outputs.ssh_user,
        private_key_file=key_file,
        host_keys=(outputs.host_public_key,),
        passphrase=read_passphrase(key_file),
        login_key=outputs.ssh_public_key,
        jump=Jump.parse(outputs.ssh_jump, outputs.ssh_jump_host_key) if outputs.ssh_jump else None,
    )
    return PushSettings(
        target=target,
        project_root=project_root,
        environment=dict(outputs.service_environment),
        open_ports=frozenset(int(port) for port in outputs.open_ports),
        secrets=ServiceSecrets(outputs.service_secrets, outputs.digest_key),
    )

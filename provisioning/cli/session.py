"""The common options of the verbs, the stack's settings, and exit codes of errors."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.errors import ExitCode, ProvisioningError

if TYPE_CHECKING:
    from provisioning.cli.console import Console
    from provisioning.config.settings import PushSettings

EPILOG = (
    "Exit codes: 0 success, or nothing to do; 1 failed; 2 invalid usage or value; 3 the new release was unhealthy "
    "and was undone; 4 another push holds the lock; 130 interrupted."
)
READ_EPILOG = "Exit codes: 0 success; 1 failed; 2 invalid usage or value; 130 interrupted."

_STACK_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+){0,2}")


def _stack_name(name: str | None) -> str | None:
    # An empty name, as from a variable that is not set, must not mean the selected stack.
    if name is not None and not _STACK_NAME.fullmatch(name):
        raise typer.BadParameter(f"{name!r} is not the name of a stack")
    return name


Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        "-s",
        envvar="ONEBOX_STACK",
        callback=_stack_name,
        help="Pulumi stack; default: the selected one.",
    ),
]
LockWait = Annotated[
    int, typer.Option("--lock-wait", min=0, help="Seconds to wait while another push holds the lock.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def settings(stack: str | None) -> PushSettings:
    """Return the settings of a push to the stack's host. Raises ProvisioningError."""
    from provisioning.config.project import VARIABLE, find_project_root
    from provisioning.config.stack_outputs import push_settings, read_outputs

    root = find_project_root(Path.cwd(), os.environ.get(VARIABLE, ""))
    return push_settings(read_outputs(root, stack), root)


@contextmanager
def running(as_json: bool = False, verbose: bool = False) -> Iterator[Console]:
    """Yield a console; print an error of the block and exit with its code."""
    from provisioning.cli.console import Console

    with Console(verbose=verbose) as console, _interruptible():
        try:
            yield console
        except ProvisioningError as error:
            if as_json:
                print_json({"error": str(error), "hint": error.hint, "exit_code": error.exit_code})
            console.fail(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            if as_json:
                print_json({"error": "interrupted", "hint": "", "exit_code": ExitCode.INTERRUPTED})
            typer.echo("interrupted", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt; a second signal ends the process at once.

    Either way the lock is free afterwards: its process on the host ends with the connection.
    """
    kinds = (signal.SIGINT, signal.SIGTERM)
    seen: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            os.write(sys.stderr.fileno(), b"interrupted\n")
            os._exit(ExitCode.INTERRUPTED)
        raise KeyboardInterrupt

    before = {kind: signal.signal(kind, interrupt) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2))


def write_bytes(chunk: bytes) -> None:
    """Write bytes from the host to standard output at once."""
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()

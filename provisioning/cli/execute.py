"""`onebox exec`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from provisioning.cli import session
from provisioning.errors import ExitCode

EPILOG = (
    "Exit codes: 0 the command returned 0; 1 it returned another status, which is shown, or could not be run; "
    "2 invalid usage, or no such service; 130 interrupted."
)


def execute(
    service: Annotated[str, typer.Argument(help="The service.")],
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after `--`.")],
    stdin: Annotated[
        bool, typer.Option("--stdin", "-i", help="Forward standard input to the command.")
    ] = False,
    stack: session.Stack = None,
    as_json: session.AsJson = False,
    timeout: Annotated[int, typer.Option(min=1, help="Timeout of the command in seconds.")] = 300,
) -> None:
    """Run a command in a service's container.

    Example: `onebox exec flask-api -- python --version`. The audit log of the host
    records the command. With --json, its output is part of the document.
    """
    output: list[bytes] = []
    with session.running(as_json):
        settings = session.settings(stack)
        from provisioning.operate.exec import execute as run

        data = sys.stdin.buffer.read() if stdin else None
        write = output.append if as_json else session.write_bytes
        done = run(settings, service, command, write, data=data, deadline_seconds=timeout)
    if as_json:
        session.print_json({**asdict(done), "stdout": b"".join(output).decode("utf-8", "replace")})
    elif done.stderr:
        typer.echo(done.stderr, nl=False, err=True)
    if done.status != 0:
        if not as_json:
            typer.echo(f"error: {command[0]} ended with status {done.status} in {service}", err=True)
        raise typer.Exit(ExitCode.FAILED)

"""`onebox logs`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from provisioning.cli import session


def logs(
    service: Annotated[str | None, typer.Argument(help="One service; without it all of them.")] = None,
    stack: session.Stack = None,
    as_json: Annotated[
        bool, typer.Option("--json", help='Print a JSON object for each line: {"container", "line"}.')
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="Lines of the past.")] = 100,
) -> None:
    """Show the logs of the services."""
    with session.running(as_json):
        if service is not None and service.startswith("-"):
            raise typer.BadParameter(f"{service!r} is not a service")
        settings = session.settings(stack)
        from provisioning.logs import read_logs, whole_lines

        write = whole_lines(_print_line) if as_json else session.write_bytes
        read_logs(settings, service, write, follow=follow, tail=tail)


def _print_line(container: str, line: str) -> None:
    typer.echo(json.dumps({"container": container, "line": line}))

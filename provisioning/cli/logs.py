"""`onebox logs`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from provisioning.cli import session


def logs(
    service: Annotated[str | None, typer.Argument(help="The service; default: all services.")] = None,
    stack: session.Stack = None,
    as_json: Annotated[
        bool, typer.Option("--json", help='Print a JSON object for each line: {"container", "line"}.')
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the logs until interrupted.")
    ] = False,
    tail: Annotated[int, typer.Option(min=0, help="Number of past lines of each container.")] = 100,
) -> None:
    """Show the logs of the services; values of secrets are redacted."""
    with session.running(as_json):
        if service is not None and service.startswith("-"):
            raise typer.BadParameter(f"{service!r} is not a service")
        settings = session.settings(stack)
        from provisioning.deploy.rollout import plain
        from provisioning.operate.logs import of_container, read_logs

        def show(line: str) -> None:
            if as_json:
                container, text = of_container(line)
                typer.echo(json.dumps({"container": container, "line": text}))
            else:
                # Colours are for a terminal; a file or another program gets the text alone.
                typer.echo(line if sys.stdout.isatty() else plain(line))

        read_logs(settings, service, show, follow=follow, tail=tail)

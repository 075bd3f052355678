"""`onebox audit`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from provisioning.cli import session
from provisioning.errors import ExitCode


def audit(
    stack: session.Stack = None,
    as_json: session.AsJson = False,
    tail: Annotated[int, typer.Option(min=1, help="Number of entries to show, the latest ones.")] = 50,
) -> None:
    """Show the audit log of the host.

    It lists pushes, rollbacks, commands and broken locks. Exits with 1 when the log was tampered with.
    """
    with session.running(as_json):
        settings = session.settings(stack)
        from provisioning.host.audit import read_audit

        log = read_audit(settings, tail)
    if as_json:
        session.print_json(asdict(log))
    else:
        for entry in log.entries:
            user = f"{entry.who} from {entry.came_from}" if entry.came_from else entry.who
            action = f"{entry.what} {entry.release[:12]}".strip()
            detail = f"  {entry.detail}" if entry.detail else ""
            typer.echo(
                f"{entry.at[:19].replace('T', ' ')}  {action:<21}  {entry.result:<12}  "
                f"{entry.seconds:>6.1f} s  {user}{detail}"
            )
        if not log.entries:
            typer.echo("the audit log is empty")
    if log.broken:
        lines = ", ".join(map(str, log.broken[:10]))
        typer.echo(
            f"error: the log was tampered with: line {lines} does not follow the previous line", err=True
        )
        raise typer.Exit(ExitCode.FAILED)

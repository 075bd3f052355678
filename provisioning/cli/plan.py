"""`onebox plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from provisioning.cli import session
from provisioning.errors import ExitCode

EPILOG = (
    "Exit codes: 0 nothing to do; 2 something to do; 1 no plan: invalid usage, an error, or a host that cannot be "
    "read; 130 interrupted."
)
_CHANGES = 2


class PlanCommand(TyperCommand):
    """The command `plan`: its exit code 2 means changes, so invalid usage exits with 1."""

    def make_context(self, *given: Any, **more: Any) -> Any:
        """Parse the arguments. Raises TyperException with exit code 1 for invalid usage."""
        try:
            return super().make_context(*given, **more)
        except TyperException as error:
            error.exit_code = ExitCode.FAILED
            raise


def plan(
    stack: session.Stack = None,
    as_json: session.AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the plan to this file, for `onebox push --plan`."),
    ] = None,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds to wait for the host.")] = 15,
) -> None:
    """Show what a push would do. Changes nothing on the host."""
    try:
        with session.running(as_json) as console:
            from provisioning.plan.saved_plan import check_path, write_plan

            if out is not None:
                check_path(out)
            settings = session.settings(stack)
            from provisioning.deploy.plan_push import preview_push
            from provisioning.plan.render import plan_lines

            found = preview_push(settings, console.show, deadline_seconds=timeout)
            if out is not None:
                write_plan(found.document, out)
    except typer.Exit as error:
        raise typer.Exit(ExitCode.FAILED if error.exit_code == _CHANGES else error.exit_code) from error
    if as_json:
        session.print_json(found.document)
    elif found.forecast is None:
        typer.echo(f"unknown: {found.unknown}")
    else:
        typer.echo("\n".join(plan_lines(found.forecast)))
    if found.forecast is None:
        raise typer.Exit(ExitCode.FAILED)
    if not found.forecast.nothing_to_do:
        raise typer.Exit(_CHANGES)

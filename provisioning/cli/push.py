"""`onebox push`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from provisioning.cli import session


def push(
    stack: session.Stack = None,
    as_json: session.AsJson = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the output of image builds.")
    ] = False,
    timeout: Annotated[int, typer.Option(min=1, help="Timeout of the whole push in seconds.")] = 900,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Apply this saved plan; reject it if it is out of date.")
    ] = None,
    lock_wait: session.LockWait = 0,
) -> None:
    """Push the release of this tree to the host. Idempotent: a host that serves it already is not changed."""
    with session.running(as_json, verbose) as console:
        agreed = None
        if plan:
            from provisioning.plan.saved_plan import read_plan

            agreed = read_plan(plan)
        settings = replace(
            session.settings(stack), deadline_seconds=timeout + lock_wait, lock_wait_seconds=lock_wait
        )
        from provisioning.deploy.push import push_release

        result = push_release(settings, console.show, agreed=agreed)
    if as_json:
        session.print_json(asdict(result))
    elif result.changed:
        typer.echo(f"release {result.release[:12]} serves ({result.seconds:.1f} s)")
    else:
        typer.echo(f"release {result.release[:12]} is up to date ({result.seconds:.1f} s)")

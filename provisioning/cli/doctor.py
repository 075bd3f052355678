"""`onebox doctor`."""

from __future__ import annotations

import typer

from provisioning.cli import session
from provisioning.errors import ExitCode, ProvisioningError

EPILOG = "Exit codes: 0 every check passed; 1 a check failed; 2 invalid usage; 130 interrupted."
_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN", "unknown": "?"}


def doctor(stack: session.Stack = None, as_json: session.AsJson = False) -> None:
    """Check the host; report the first failed check and its remedy.

    Runs every check once, from the stack's outputs to the public ports. Changes nothing.
    """
    with session.running():
        from provisioning.operate.doctor import diagnosis_without_stack, examine

        try:
            settings = session.settings(stack)
        except ProvisioningError as error:
            found = diagnosis_without_stack(error)
        else:
            found = examine(settings)
    first = found.first_broken
    if as_json:
        session.print_json(found.as_json())
    else:
        for check in found.checks:
            typer.echo(f"{_MARKS[check.condition]:<7} {check.rung:<18} {check.found}".rstrip())
            if check.condition == "note" and check.cure:
                typer.echo(f"{'':<26} {check.cure}")
        if first is None:
            typer.echo("every check passed")
        else:
            typer.echo(
                f"\nfirst failure: {first.rung}: {first.found}\nremedy: {first.cure or 'none is known'}"
            )
    if first is not None:
        raise typer.Exit(ExitCode.FAILED)

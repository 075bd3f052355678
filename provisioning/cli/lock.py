"""`onebox lock`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from provisioning.cli import session

EPILOG = (
    "Exit codes: 0 nobody holds the host (any more); 1 failed; 2 wrong usage or setting; "
    "4 somebody holds the host; 130 interrupted."
)
_HELD = 4


class LockAction(StrEnum):
    """What can be done about a lock."""

    STATUS = "status"
    BREAK = "break"


def lock(
    action: Annotated[LockAction, typer.Argument(help="Look at it, or end it.")] = LockAction.STATUS,
    force: Annotated[bool, typer.Option("--force", help="End a push that may still be at work.")] = False,
    stack: session.Stack = None,
    as_json: session.AsJson = False,
) -> None:
    """Show who holds the host, or end their push.

    A lock is freed by itself when its push ends or its machine goes away. Breaking one ends
    its connection and its steps; nothing is put back, the next push finds what is left and goes on.
    """
    with session.running(as_json):
        settings = session.settings(stack)
        from provisioning.errors import SettingsError
        from provisioning.host.lock import break_lock, read_lock

        found = break_lock(settings) if action is LockAction.BREAK and force else read_lock(settings)
        if action is LockAction.BREAK and not force and not found.free:
            raise SettingsError(
                "force", f"the host is {found}; nothing was changed", hint="Give --force to end that push."
            )
    if as_json:
        session.print_json(
            {**asdict(found), "text": str(found), "broken": action is LockAction.BREAK and not found.free}
        )
    elif action is LockAction.BREAK and not found.free:
        typer.echo(f"broken: it was {found}")
    else:
        typer.echo(str(found))
    if action is LockAction.STATUS and not found.free:
        raise typer.Exit(_HELD)

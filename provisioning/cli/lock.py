"""`onebox lock`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from provisioning.cli import session
from provisioning.errors import ExitCode, SettingsError

EPILOG = (
    "Exit codes: 0 the lock is free, or was broken; 1 failed; 2 invalid usage or value; "
    "4 the lock is held; 130 interrupted."
)


class LockAction(StrEnum):
    """An action on the lock."""

    STATUS = "status"
    BREAK = "break"


def lock(
    action: Annotated[LockAction, typer.Argument(help="Show the lock, or break it.")] = LockAction.STATUS,
    force: Annotated[
        bool,
        typer.Option("--force", help="Required to break a lock that is held: this ends the running push."),
    ] = False,
    stack: session.Stack = None,
    as_json: session.AsJson = False,
) -> None:
    """Show the lock holder, or break the lock.

    A lock ends with its push, or when the holder's machine goes away. Breaking it ends the
    holder's connection and its steps. Nothing is rolled back: the next push repairs the host.
    """
    with session.running(as_json):
        settings = session.settings(stack)
        from provisioning.host.lock import break_lock, read_lock

        found = break_lock(settings) if action is LockAction.BREAK and force else read_lock(settings)
        if action is LockAction.BREAK and not force and not found.free:
            raise SettingsError(
                "force", f"the lock is {found}; nothing was changed", hint="Use --force to end that push."
            )
    if as_json:
        session.print_json(
            {**asdict(found), "text": str(found), "broken": action is LockAction.BREAK and not found.free}
        )
    elif action is LockAction.BREAK and not found.free:
        typer.echo(f"lock broken; it was {found}")
    else:
        typer.echo(str(found))
    if action is LockAction.STATUS and not found.free:
        raise typer.Exit(ExitCode.LOCKED)

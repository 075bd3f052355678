"""`onebox rollback` and `onebox releases`."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from provisioning.cli import session
from provisioning.cli.units import ago
from provisioning.errors import ExitCode, SettingsError

if TYPE_CHECKING:
    from provisioning.deploy.rollback import RollbackPlan
    from provisioning.host.history import Kept, KeptRelease


def rollback(
    release: Annotated[
        str | None,
        typer.Argument(help="Prefix of a retained release's digest; without it the previous release."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Skip the confirmation; required without a terminal.")
    ] = False,
    stack: session.Stack = None,
    as_json: session.AsJson = False,
    timeout: Annotated[int, typer.Option(min=1, help="Timeout of the whole rollback in seconds.")] = 300,
    lock_wait: session.LockWait = 0,
) -> None:
    """Roll back to a retained release.

    Restores the release's images, code, models, rules and values together. Shows the plan
    first. Builds and uploads nothing, so it takes seconds.
    """
    with session.running(as_json) as console:
        settings = replace(
            session.settings(stack), deadline_seconds=timeout + lock_wait, lock_wait_seconds=lock_wait
        )
        from provisioning.deploy.rollback import plan_rollback, roll_back

        plan = plan_rollback(settings, release)
        if not (as_json and yes):
            typer.echo(plan_text(plan), err=True)
        if not yes:
            if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise SettingsError(
                    "yes",
                    "a rollback needs a confirmation, and there is no terminal; nothing was changed",
                    hint="Use --yes.",
                )
            if not typer.confirm("roll back?"):
                typer.echo("nothing was changed")
                raise typer.Exit(ExitCode.FAILED)
        result = roll_back(settings, plan, console.show)
    if as_json:
        session.print_json({**asdict(result), "plan": plan.as_json()})
    else:
        typer.echo(f"release {result.release[:12]} serves again ({result.seconds:.1f} s)")


def releases(stack: session.Stack = None, as_json: session.AsJson = False) -> None:
    """List the retained releases: time, user, differences."""
    with session.running(as_json):
        settings = session.settings(stack)
        from provisioning.host.history import read_releases

        kept = read_releases(settings)
    if as_json:
        session.print_json(kept.as_json())
        return
    if not kept.releases and not kept.unreadable:
        typer.echo("nothing was pushed yet")
    for item in kept.releases:
        typer.echo(_line(item, kept))
    for other in kept.unreadable:
        mark = "current, " if other.current else ""
        typer.echo(f"{other.release[:12]}  {mark}cannot be read: {other.reason}. {other.hint}")


def plan_text(plan: RollbackPlan) -> str:
    """Return the plan of a rollback as text."""
    target = plan.target
    by = f" by {target.who}" if target.who else ""
    lines = [
        f"from {(plan.current or 'nothing')[:12]} back to {target.release[:12]}, "
        f"which became active {ago(target.age_seconds)} ago{by}"
    ]
    for action, effect in zip(plan.actions, plan.services, strict=True):
        image = "" if action.image == "keep" else f"{action.image} image, "
        reason = f"  ({action.reason})" if action.reason else ""
        lines.append(f"  {action.service:<16} {image}{effect}{reason}")
    if plan.differences is not None:
        lines.append(f"  differences: {plan.differences}")
    return "\n".join(lines)


def _line(item: KeptRelease, kept: Kept) -> str:
    mark = "current" if item.current else "previous" if item.previous else ""
    changed = "its predecessor is no longer retained"
    if item.differences is not None:
        changed = str(item.differences)
    elif item.before is None:
        changed = "the first release" if item.who and not kept.past else changed
    missing = f"; {len(item.images_missing)} images would have to be rebuilt" if item.images_missing else ""
    when, who = item.at[:19].replace("T", " "), item.who or "unknown"
    return f"{item.release[:12]}  {mark:<8}  {when}  {who:<20}  {changed}{missing}"

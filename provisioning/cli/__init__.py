"""The command `onebox`, a thin layer over the library. One module for each group of verbs.

A verb imports what it needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from provisioning import __version__
from provisioning.cli import audit, connect, doctor, execute, lock, logs, plan, push, rollback, status
from provisioning.cli.session import EPILOG, READ_EPILOG

app = typer.Typer(
    name="onebox",
    help="Push a release to a stack's host over SSH, and operate it there.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"onebox {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Read the options before the command."""


app.command("plan", epilog=plan.EPILOG, cls=plan.PlanCommand)(plan.plan)
app.command("push", epilog=EPILOG)(push.push)
app.command("rollback", epilog=EPILOG)(rollback.rollback)
app.command("releases", epilog=READ_EPILOG)(rollback.releases)
app.command("status", epilog=status.EPILOG)(status.status)
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)
app.command("audit", epilog=READ_EPILOG)(audit.audit)
app.command("lock", epilog=lock.EPILOG)(lock.lock)
app.command("logs", epilog=READ_EPILOG)(logs.logs)
app.command("exec", epilog=execute.EPILOG)(execute.execute)
app.command("tunnel", epilog=connect.TUNNEL_EPILOG)(connect.tunnel)
app.command("ssh", epilog=connect.SSH_EPILOG)(connect.ssh)


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="onebox")
    finally:
        # Ctrl-C while the interpreter ends must not print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

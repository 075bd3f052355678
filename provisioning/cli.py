"""The command `onebox`: words for what the library does. Everything heavy is imported when it is needed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.errors import ProvisioningError

if TYPE_CHECKING:
    from provisioning.console import Console
    from provisioning.settings import PushSettings

PROJECT_ROOT = Path(__file__).resolve().parents[1]

EPILOG = (
    "Exit codes: 0 ok; 1 failed; 2 wrong usage or setting; 3 the new release was unhealthy and the previous one "
    "is back; 4 another push holds the host; 130 interrupted."
)

app = typer.Typer(
    name="onebox",
    help="Push a release to a stack's host over SSH, and look after it there.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Stack = Annotated[
    str | None,
    typer.Option("--stack", "-s", envvar="ONEBOX_STACK", help="Pulumi stack; without it the selected one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


@app.command(epilog=EPILOG)
def push(
    stack: Stack = None,
    as_json: AsJson = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the lines of image builds.")] = False,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds for the whole push.")] = 900,
) -> None:
    """Bring this tree's release onto the host. Does nothing where it already serves."""
    with _session(as_json, verbose) as console:
        settings = replace(_settings(stack), deadline_seconds=timeout)
        from provisioning.push import push_release

        result = push_release(settings, console.show)
    if as_json:
        _print_json(asdict(result))
    elif result.changed:
        typer.echo(f"release {result.release[:12]} serves ({result.seconds:.1f} s)")
    else:
        typer.echo(f"release {result.release[:12]} is up to date ({result.seconds:.1f} s)")


@app.command(epilog=EPILOG)
def status(stack: Stack = None, as_json: AsJson = False) -> None:
    """Show what serves on the host, and what is no longer as the last push left it."""
    with _session(as_json, verbose=False):
        settings = _settings(stack)
        from provisioning.status import read_status

        found = read_status(settings)
    if as_json:
        _print_json(asdict(found))
        return
    typer.echo(
        f"release {found.release[:12] if found.release else 'none'}, pushed {found.pushed_at or 'never'}"
    )
    for service in found.services:
        health = f" ({service.health})" if service.health else ""
        typer.echo(f"  {service.service:<16} {service.digest[:12]:<13} {service.state}{health}")
    if found.pushing:
        typer.echo(f"push under way: {found.pushing}")
    for line in found.drift:
        typer.echo(f"drift: {line}")


@app.command(epilog=EPILOG)
def logs(
    service: Annotated[str | None, typer.Argument(help="One service; without it all of them.")] = None,
    stack: Stack = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="Lines of the past.")] = 100,
) -> None:
    """Show the logs of the services."""
    with _session(as_json=False, verbose=False):
        if service is not None and service.startswith("-"):
            raise typer.BadParameter(f"{service!r} is not a service")
        settings = _settings(stack)
        from provisioning.logs import read_logs

        read_logs(settings, service, _write_bytes, follow=follow, tail=tail)


@app.command(epilog=EPILOG)
def ssh(stack: Stack = None) -> None:
    """Open a shell on the host with the system's ssh, trusting the stack's host key only."""
    with _session(as_json=False, verbose=False):
        target = _settings(stack).target
        from provisioning.errors import SettingsError
        from provisioning.ssh_command import ssh_argv

        argv = ssh_argv(target.host, target.user, target.private_key_file, target.host_keys[0], target.port)
        try:
            os.execvp(argv[0], argv)  # noqa: S606 - an argv list of ours, and the point of the command
        except FileNotFoundError as error:
            raise SettingsError(
                "ssh", "the command ssh is not there", hint="Install openssh-client."
            ) from error


def main() -> None:
    """Entry point."""
    app()


def _settings(stack: str | None) -> PushSettings:
    from provisioning.stack import push_settings, read_outputs

    return push_settings(read_outputs(PROJECT_ROOT, stack), PROJECT_ROOT)


@contextmanager
def _session(as_json: bool, verbose: bool) -> Iterator[Console]:
    """A console for what runs inside; our errors become a sentence and an exit code."""
    from provisioning.console import Console

    with Console(verbose=verbose) as console:
        try:
            yield console
        except ProvisioningError as error:
            if as_json:
                _print_json({"error": str(error), "hint": error.hint, "exit_code": error.exit_code})
            console.fail(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2))


def _write_bytes(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()

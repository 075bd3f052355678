"""`onebox ssh` and `onebox tunnel`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from provisioning.cli import session
from provisioning.errors import SettingsError

SSH_EPILOG = "Exit codes: that of ssh; if ssh was not started, 1 failed or 2 invalid usage or value."
TUNNEL_EPILOG = (
    "Exit codes: 1 failed, or the connection was lost; 2 invalid usage, or the local port is taken; 130 interrupted "
    "by Ctrl-C, the normal end."
)


def ssh(stack: session.Stack = None, as_json: session.AsJson = False) -> None:
    """Open a shell on the host.

    Runs the system's ssh with the stack's host key pinned. With --json it prints the command
    instead.
    """
    with session.running(as_json):
        target = session.settings(stack).target
        from provisioning.ssh.openssh import ssh_argv

        argv = ssh_argv(target, target.host, target.host_keys[0], target.port)
        if as_json:
            return session.print_json({"argv": argv})
        try:
            os.execvp(argv[0], argv)  # noqa: S606 - an argv list of ours
        except FileNotFoundError as error:
            raise SettingsError(
                "ssh", "the command ssh is not installed", hint="Install openssh-client."
            ) from error


def tunnel(
    port: Annotated[int, typer.Argument(min=1, max=65535, help="Port of the host, for example 9090.")],
    local_port: Annotated[
        int | None, typer.Option("--local-port", min=0, max=65535, help="Local port; 0 for any free one.")
    ] = None,
    stack: session.Stack = None,
    as_json: session.AsJson = False,
) -> None:
    """Forward a local port to a port of the host, until Ctrl-C.

    It listens on the loopback interface: no port of the host is opened.
    """
    with session.running(as_json):
        target = session.settings(stack).target
        from provisioning.operate.tunnel import LOOPBACK, open_tunnel

        warn = lambda text: typer.echo(f"warning: {text}", err=True)  # noqa: E731 - one line, used once
        with open_tunnel(target, port, local_port, on_error=warn) as opened:
            if as_json:
                session.print_json({"port": port, "local_address": LOOPBACK, "local_port": opened.local_port})
            else:
                typer.echo(
                    f"http://{LOOPBACK}:{opened.local_port} is port {port} of {target.host}; Ctrl-C ends it"
                )
            opened.wait()

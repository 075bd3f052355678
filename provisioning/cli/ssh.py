"""`onebox ssh`."""

from __future__ import annotations

import os

from provisioning.cli import session


def ssh(stack: session.Stack = None, as_json: session.AsJson = False) -> None:
    """Open a shell on the host.

    Runs the system's ssh with the stack's host key pinned. With --json it prints the command
    instead.
    """
    with session.running(as_json):
        target = session.settings(stack).target
        from provisioning.errors import SettingsError
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

"""`onebox ssh`."""

from __future__ import annotations

import os

from provisioning.cli import session


def ssh(stack: session.Stack = None, as_json: session.AsJson = False) -> None:
    """Open a shell on the host.

    Through the system's ssh, which trusts the stack's host key and no other. With --json the
    command is shown instead of being run.
    """
    with session.running(as_json):
        target = session.settings(stack).target
        from provisioning.errors import SettingsError
        from provisioning.ssh.openssh import ssh_argv

        argv = ssh_argv(target, target.host, target.host_keys[0], target.port)
        if as_json:
            return session.print_json({"argv": argv})
        try:
            os.execvp(argv[0], argv)  # noqa: S606 - an argv list of ours, and the point of the command
        except FileNotFoundError as error:
            raise SettingsError(
                "ssh", "the command ssh is not there", hint="Install openssh-client."
            ) from error

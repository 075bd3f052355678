"""A connection that can look and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from provisioning.ssh import Connection
from provisioning.ssh.connection import NOTHING
from provisioning.ssh.process import Process

READING = frozenset({"facts.py", "read_files.py"})
"""The scripts of `provisioning/agent/` that change nothing."""


class WriteRefused(RuntimeError):
    """Something that only looks at the host was about to change it: a mistake in this program."""


class ReadOnlyConnection(Connection):
    """Runs the reading scripts over another connection and refuses everything else.

    It has no transport of its own, so what is not named here cannot reach the host either.
    """

    def __init__(self, inner: Connection) -> None:
        self.target = inner.target
        self._inner = inner

    def close(self) -> None:
        """Close the connection underneath."""
        self._inner.close()

    @property
    def active(self) -> bool:
        """Whether the host still answered at the last probe."""
        return self._inner.active

    def start_script(
        self,
        name: str,
        *arguments: str,
        step: str,
        seconds: float | None = None,
        given: Mapping[str, bytes] = NOTHING,
    ) -> Process:
        """Start a reading script. Raises WriteRefused for any other."""
        if name not in READING:
            _refuse(name)
        return self._inner.start_script(name, *arguments, step=step, seconds=seconds, given=given)

    def start(self, command: Sequence[str] | str, step: str) -> NoReturn:
        """Every command and upload goes through here, and ends here."""
        _refuse(step or str(command))

    def open_tunnel(self, port: int, timeout: float) -> NoReturn:  # noqa: ARG002
        """What is asked through a tunnel may change something."""
        _refuse(f"a tunnel to port {port}")


def _refuse(what: str) -> NoReturn:
    raise WriteRefused(f"{what} could change the host, and this connection is for looking only")

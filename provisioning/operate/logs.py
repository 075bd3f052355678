"""Read the logs of the services."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from provisioning.agent.command.messages import RunAttached
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.deploy.rollout import plain
from provisioning.events import silent
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.host.stored_secrets import mask_on
from provisioning.host_errors import CommandFailed
from provisioning.ssh import connect

_LOGIN_SECONDS = 30.0
_READ_SECONDS = 60.0
_FOLLOW_SECONDS = 7 * 24 * 3600.0


def logs_argv(project_name: str, service: str | None, *, follow: bool, tail: int) -> list[str]:
    """Return the argv on the host. Compose finds the containers by their labels; no release is needed."""
    options = ["--no-color", f"--tail={tail}", *(["--follow"] if follow else [])]
    services = [service] if service else []
    return [
        "docker",
        "compose",
        "--ansi",
        "never",
        "--project-name",
        project_name,
        "logs",
        *options,
        *services,
    ]


def read_logs(
    settings: PushSettings,
    service: str | None,
    show: Callable[[str], None],
    *,
    follow: bool = False,
    tail: int = 100,
    connector: Connector = connect,
) -> None:
    """Pass each line of the logs of one service, or of all, to `show`; with `follow` until interrupted.

    Values of secrets are redacted. Raises CommandFailed when a secret stored on the host cannot be read.
    """
    argv = logs_argv(settings.project_name, service, follow=follow, tail=tail)
    login = Deadline(_LOGIN_SECONDS)
    with wait_for_login(settings.target, login, silent, connector=connector) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        mask = mask_on(store, settings.secrets, login)
        lines = WholeLines(lambda line: show(mask.known(line)))
        seconds = _FOLLOW_SECONDS if follow else _READ_SECONDS
        with closing(connection.start_alone(RunAttached(tuple(argv)), step="docker compose logs")) as process:
            done = process.wait(seconds, on_output=lines.feed, hold_input=True)
        lines.end()
    if done.status != 0:
        raise CommandFailed("docker compose logs", done.status, done.stderr)


class WholeLines:
    """Cuts a stream of bytes into whole lines, so that the mask sees each secret as a whole."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Add a chunk of the stream."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._show(line.decode("utf-8", "replace"))

    def end(self) -> None:
        """End the stream: show the last line."""
        if self._rest:
            self.feed(b"\n")


def of_container(line: str) -> tuple[str, str]:
    """Return the container that compose names before a line (empty for none), and the line itself."""
    # Compose writes control codes before the line, even with `--ansi never`.
    container, found, said = plain(line).partition("|")
    return (container.strip(), said.removeprefix(" ")) if found else ("", container)

"""The logs of the services, as they are on the host."""

from __future__ import annotations

from collections.abc import Callable

from provisioning.deadline import Deadline
from provisioning.events import silent
from provisioning.health import plain
from provisioning.host_errors import CommandFailed
from provisioning.ready import Connector, wait_for_login
from provisioning.remote import script
from provisioning.settings import PushSettings
from provisioning.ssh import connect

_LOGIN_SECONDS = 30.0
_READ_SECONDS = 60.0
_FOLLOW_SECONDS = 7 * 24 * 3600.0


def logs_argv(project_name: str, service: str | None, *, follow: bool, tail: int) -> list[str]:
    """Pure: the command on the host. Compose finds the containers by their labels; no release is needed."""
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
    write: Callable[[bytes], None],
    *,
    follow: bool = False,
    tail: int = 100,
    connector: Connector = connect,
) -> None:
    """Hand the logs of one service, or of all, to `write` as they come; with `follow`, until interrupted."""
    argv = logs_argv(settings.project_name, service, follow=follow, tail=tail)
    with wait_for_login(settings.target, Deadline(_LOGIN_SECONDS), silent, connector=connector) as connection:
        done = connection.run(
            ["python3", "-I", "-c", script("attended.py"), *argv],
            deadline=_FOLLOW_SECONDS if follow else _READ_SECONDS,
            step="docker compose logs",
            check=False,
            on_output=write,
            hold_input=True,
        )
    if done.status != 0:
        raise CommandFailed("docker compose logs", done.status, done.stderr)


def whole_lines(show: Callable[[str, str], None]) -> Callable[[bytes], None]:
    """A `write` for `read_logs` that hands on whole lines, each with the container that compose names before it."""
    rest = b""

    def write(chunk: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + chunk).split(b"\n")
        for raw in lines:
            # Compose clears the line before it writes, even where it was told to use no such codes.
            container, found, line = plain(raw.decode("utf-8", "replace")).partition("|")
            show(*((container.strip(), line.removeprefix(" ")) if found else ("", container)))

    return write

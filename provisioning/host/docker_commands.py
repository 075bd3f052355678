"""Pure: the argv of every docker and docker compose command that runs on the host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from provisioning.release.manifest import ENV_FILE
from provisioning.release.tree import COMPOSE_FILE


@dataclass(frozen=True)
class Project:
    """A compose project run from the directory of one release."""

    name: str
    root: str
    release: str

    @property
    def directory(self) -> str:
        """Return the directory of the release on the host."""
        return f"{self.root}/releases/{self.release}"

    def compose(self, *words: str) -> list[str]:
        """Return the argv of `docker compose` for this release."""
        return [
            "docker",
            "compose",
            "--project-name",
            self.name,
            "--project-directory",
            self.directory,
            "--file",
            f"{self.directory}/{COMPOSE_FILE}",
            "--env-file",
            f"{self.directory}/{ENV_FILE}",
            *words,
        ]

    def build(self, services: Iterable[str]) -> list[str]:
        """Build the images of services."""
        return self.compose("build", *services)

    def recreate(self, service: str, wait_seconds: int) -> list[str]:
        """Recreate a service's container and wait until it is healthy."""
        return self._up(service, wait_seconds, "--force-recreate")

    def start(self, service: str, wait_seconds: int) -> list[str]:
        """Start a service's existing container and wait until it is healthy."""
        return self._up(service, wait_seconds, "--no-recreate")

    def stop(self, services: Iterable[str]) -> list[str]:
        """Stop the containers of services and keep them, so that their logs can be read."""
        return self.compose("stop", *services)

    def remove(self, services: Iterable[str]) -> list[str]:
        """Stop and remove the containers of services."""
        return self.compose("rm", "--stop", "--force", *services)

    def logs(
        self, services: Iterable[str], *, tail: int, follow: bool = False, prefix: bool = True
    ) -> list[str]:
        """Read the last `tail` lines of services' logs; with `follow`, also all later lines."""
        options = [
            "--no-color",
            f"--tail={tail}",
            *(["--follow"] if follow else []),
            *([] if prefix else ["--no-log-prefix"]),
        ]
        return self.compose("logs", *options, *services)

    def down(self, seconds: int) -> list[str]:
        """Remove every container of the project; volumes stay."""
        return self.compose("down", "--remove-orphans", f"--timeout={seconds}")

    def _up(self, service: str, wait_seconds: int, how: str) -> list[str]:
        return self.compose(
            "up",
            "--detach",
            "--no-deps",
            "--no-build",
            how,
            "--wait",
            f"--wait-timeout={wait_seconds}",
            service,
        )


def tag_argv(existing: str, new: str) -> list[str]:
    """Give an image a second name."""
    return ["docker", "image", "tag", existing, new]


def reload_argv(container: str, signal: str) -> list[str]:
    """Send a signal to a container's main process, from inside of the container.

    After `docker kill`, whatever the signal, Docker regards a container as stopped by hand and does not restart it
    after a crash or a reboot. The container is named by its id, because compose would first read the project.
    """
    return ["docker", "exec", container, "sh", "-c", f"kill -s {signal.removeprefix('SIG')} 1"]


def remove_containers_argv(ids: Iterable[str]) -> list[str]:
    """Remove containers, running or not."""
    return ["docker", "container", "rm", "--force", *ids]

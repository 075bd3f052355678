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
        """Directory of the release on the host."""
        return f"{self.root}/releases/{self.release}"

    def compose(self, *words: str) -> list[str]:
        """argv of `docker compose` for this release."""
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
        """Make a service's container anew and wait until it is healthy."""
        return self._up(service, wait_seconds, "--force-recreate")

    def start(self, service: str, wait_seconds: int) -> list[str]:
        """Start a service's container as it is and wait until it is healthy."""
        return self._up(service, wait_seconds, "--no-recreate")

    def stop(self, services: Iterable[str]) -> list[str]:
        """Stop the containers of services and keep them for reading."""
        return self.compose("stop", *services)

    def remove(self, services: Iterable[str]) -> list[str]:
        """Stop and remove the containers of services."""
        return self.compose("rm", "--stop", "--force", *services)

    def logs(
        self, services: Iterable[str], *, tail: int, follow: bool = False, prefix: bool = True
    ) -> list[str]:
        """The last lines of services' logs; with `follow`, and those to come."""
        options = [
            "--no-color",
            f"--tail={tail}",
            *(["--follow"] if follow else []),
            *([] if prefix else ["--no-log-prefix"]),
        ]
        return self.compose("logs", *options, *services)

    def down(self, seconds: int) -> list[str]:
        """End every container of the project; volumes stay."""
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
    """Send a signal to a container's main process.

    From inside: after `docker kill`, whatever the signal, Docker takes a container for stopped by hand
    and does not bring it back after a crash or a reboot. By its id: compose would first read the project anew.
    """
    return ["docker", "exec", container, "sh", "-c", f"kill -s {signal.removeprefix('SIG')} 1"]


def remove_containers_argv(ids: Iterable[str]) -> list[str]:
    """Remove containers, running or not."""
    return ["docker", "container", "rm", "--force", *ids]

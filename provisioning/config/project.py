"""The project's root: the directory that holds Pulumi.yaml and docker-compose.yml."""

from __future__ import annotations

from pathlib import Path

from provisioning.errors import SettingsError

VARIABLE = "ONEBOX_PROJECT"
_MARKERS = ("Pulumi.yaml", "docker-compose.yml")


def find_project_root(start: Path, configured: str = "") -> Path:
    """Return `configured` where it is set, else the nearest of `start` and its parents that is a project.

    Pulumi.yaml counts first: a docker-compose.yml further down belongs to something else. Raises SettingsError.
    """
    if configured:
        root = Path(configured).expanduser().resolve()
        if any((root / marker).is_file() for marker in _MARKERS):
            return root
        raise SettingsError(
            "project",
            f"{root} has neither a Pulumi.yaml nor a docker-compose.yml",
            hint=f"Set {VARIABLE} to the project's root.",
        )
    start = start.resolve()
    for marker in _MARKERS:
        for directory in (start, *start.parents):
            if (directory / marker).is_file():
                return directory
    raise SettingsError(
        "project",
        f"neither {start} nor a directory above it has a Pulumi.yaml or a docker-compose.yml",
        hint=f"Change to the project's directory, or set {VARIABLE} to it.",
    )

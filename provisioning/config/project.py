"""The project's root: the directory that holds Pulumi.yaml and docker-compose.yml."""

from __future__ import annotations

import os
from pathlib import Path

from provisioning.errors import SettingsError

VARIABLE = "ONEBOX_PROJECT"
_MARKERS = ("Pulumi.yaml", "docker-compose.yml")


def find_project_root(start: Path, configured: str = "") -> Path:
    """Return `configured` where it is set, else the nearest of `start` and its parents that is a project.

    Pulumi.yaml counts first: a docker-compose.yml further down belongs to something else. Raises SettingsError.
    """
    if configured:
        root = expand_user(configured).resolve()
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


def expand_user(path: str | Path) -> Path:
    """Return the path with `~` and `~user` as home directories; that of an unknown user stays, and names no file."""
    # Path.expanduser raises RuntimeError for an unknown user.
    return Path(os.path.expanduser(path))  # noqa: PTH111

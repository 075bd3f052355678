"""What a contestant has to be able to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent


class Contestant(Protocol):
    """One tool that brings the release onto the host by one command, which ends when the services are healthy."""

    @property
    def name(self) -> str: ...

    @property
    def project(self) -> str:
        """Its compose project, under which its images are named too."""
        ...

    @property
    def tree(self) -> Path:
        """Its working copy of the release's files."""
        ...

    @property
    def shift(self) -> int:
        """How far its published ports are from the usual ones."""
        ...

    def prepare(self) -> None:
        """Install it and lay out its working copy. Not measured."""

    def push(self) -> None:
        """The one command. Raises RunFailed."""

    def reset(self) -> None:
        """Nothing of it is left on the host."""


def make_venv(name: str, place: Path) -> Path:
    """The `bin` of a venv that holds exactly `with_<name>/requirements.txt`."""
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    lock = HERE / f"with_{name}" / "requirements.txt"
    uv = Path(sys.executable).parent / "uv"
    argv = [str(uv), "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(lock)]
    subprocess.run(argv, check=True, env=dict(os.environ))
    return python.parent

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
        """Return its compose project, which its image names begin with."""
        ...

    @property
    def tree(self) -> Path:
        """Return its working copy of the release's files."""
        ...

    @property
    def shift(self) -> int:
        """Return the offset of its published ports from the usual ones."""
        ...

    def prepare(self) -> None:
        """Install it and lay out its working copy. Not measured."""

    def push(self) -> None:
        """Run its one push command. Raises RunFailed."""

    def reset(self) -> None:
        """Remove everything of it from the host."""


def make_venv(name: str, place: Path) -> Path:
    """Return the `bin` of a venv that has exactly the packages of `with_<name>/requirements.txt`."""
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    lock = HERE / f"with_{name}" / "requirements.txt"
    uv = Path(sys.executable).parent / "uv"
    argv = [str(uv), "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(lock)]
    subprocess.run(argv, check=True, env=dict(os.environ))
    return python.parent

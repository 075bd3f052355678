"""pyinfra: one deploy with rsync and docker compose."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.push.contestant import HERE, make_venv
from benchmarks.push.files import copy_release, move_aside
from benchmarks.push.rehearsal import Rehearsal, call, clean_environment


@dataclass
class Pyinfra:
    """`pyinfra INVENTORY deploy.py`."""

    host: Rehearsal
    place: Path
    name: str = "pyinfra"
    project: str = "bench-pyinfra"
    shift: int = 20000
    _bin: Path = field(default_factory=Path, repr=False)

    @property
    def tree(self) -> Path:
        """Return the working copy."""
        return self.place / "tree"

    @property
    def _remote(self) -> str:
        return f"/home/{self.host.user}/{self.project}"

    def prepare(self) -> None:
        """Create venv, working copy, inventory and known_hosts."""
        self._bin = make_venv("pyinfra", self.place / "venv")
        copy_release(self.host.project_root, self.tree)
        move_aside(self.tree, self.project, self.shift)
        shutil.copy2(HERE / "with_pyinfra" / "deploy.py", self.place / "deploy.py")
        known = self.place / "known_hosts"
        known.write_text(f"{self.host.address} {self.host.host_key}\n")
        values = {
            "ssh_user": self.host.user,
            "ssh_key": str(self.host.key_file),
            "ssh_known_hosts_file": str(known),
            "ssh_strict_host_key_checking": "yes",
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
            "source": str(self.tree),
            "place": self._remote,
            "project": self.project,
        }
        (self.place / "inventory.py").write_text(f"hosts = [({self.host.address!r}, {values!r})]\n")

    def push(self) -> None:
        """Run the command as a user types it."""
        argv = [str(self._bin / "pyinfra"), "--yes", "inventory.py", "deploy.py"]
        kept = {"PYTHONPYCACHEPREFIX": str(self.place / "pycache"), "LC_ALL": "C.UTF-8"}
        path = f"{self._bin}:{clean_environment()['PATH']}"
        call(argv, self.place, clean_environment(**kept, PATH=path))

    def reset(self) -> None:
        """Reset to a host that was never pushed to."""
        self.host.remove(self.project, self._remote)

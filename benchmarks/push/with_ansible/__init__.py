"""Ansible: one playbook with synchronize (rsync) and community.docker's docker_compose_v2."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.push.contestant import HERE, make_venv
from benchmarks.push.files import copy_release, move_aside
from benchmarks.push.rehearsal import Rehearsal, call, clean_environment


@dataclass
class Ansible:
    """`ansible-playbook`, with pipelining and a connection that stays open between its runs."""

    host: Rehearsal
    place: Path
    name: str = "ansible"
    project: str = "bench-ansible"
    shift: int = 10000
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
        self._bin = make_venv("ansible", self.place / "venv")
        copy_release(self.host.project_root, self.tree)
        move_aside(self.tree, self.project, self.shift)
        for name in ("site.yml", "ansible.cfg"):
            shutil.copy2(HERE / "with_ansible" / name, self.place / name)
        known = self.place / "known_hosts"
        known.write_text(f"{self.host.address} {self.host.host_key}\n")
        values = {
            "ansible_user": self.host.user,
            "ansible_ssh_private_key_file": str(self.host.key_file),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
            "source": str(self.tree),
            "place": self._remote,
            "project": self.project,
        }
        inventory = {"all": {"hosts": {self.host.address: values}}}
        (self.place / "inventory.json").write_text(json.dumps(inventory))

    def push(self) -> None:
        """Run the command as a user types it."""
        argv = [str(self._bin / "ansible-playbook"), "-i", "inventory.json", "site.yml"]
        kept = {"PYTHONPYCACHEPREFIX": str(self.place / "pycache"), "LC_ALL": "C.UTF-8"}
        path = f"{self._bin}:{clean_environment()['PATH']}"
        call(argv, self.place, clean_environment(**kept, PATH=path, ANSIBLE_HOME=str(self.place / "home")))

    def reset(self) -> None:
        """Reset to a host that was never pushed to."""
        self.host.remove(self.project, self._remote)

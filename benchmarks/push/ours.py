"""onebox: `onebox push`."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.push.files import copy_release
from benchmarks.push.rehearsal import Rehearsal, call
from provisioning.config.settings import DEFAULT_PROJECT_NAME, DEFAULT_REMOTE_ROOT

_PROGRAM = ("Pulumi.yaml", "infra", "provisioning", "tools")
_SHARED = (".venv", ".onebox")


@dataclass(frozen=True)
class Onebox:
    """The command line of a copy of this checkout, on the stack as it is."""

    host: Rehearsal
    tree: Path
    name: str = "onebox"
    project: str = DEFAULT_PROJECT_NAME
    shift: int = 0

    def prepare(self) -> None:
        """Copy the release, so that the changed files are not those of the checkout."""
        root = self.host.project_root
        copy_release(root, self.tree)
        for name in _PROGRAM:
            copy = shutil.copytree if (root / name).is_dir() else shutil.copy2
            copy(root / name, self.tree / name)
        for name in _SHARED:
            (self.tree / name).symlink_to(root / name)

    def push(self) -> None:
        """Run the command as a user types it."""
        argv = [str(self.tree / "tools" / "bin" / "onebox"), "push", "--stack", self.host.stack]
        # In front of the checkout's own, which `. tools/env.sh` put there.
        path = f"{self.tree}:{os.environ.get('PYTHONPATH', '')}"
        call(argv, self.tree, {**os.environ, "PYTHONPATH": path})

    def reset(self) -> None:
        """Reset to a host that was never pushed to."""
        self.host.remove(self.project, DEFAULT_REMOTE_ROOT)

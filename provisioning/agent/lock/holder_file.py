"""The file that names the holder of the lock."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Optional

from provisioning.agent.codec import Malformed, from_json
from provisioning.agent.files import read_json, write_text


@dataclass(frozen=True)
class Holder:
    """The lock holder, as it is stored in `push.holder`. `pid` is its process on the host."""

    who: str
    doing: str
    since: str
    user: str = ""
    what: str = ""
    release: str = ""
    pid: int = 0
    broken_by: str = ""

    def __str__(self) -> str:
        return f"{self.who}, {self.doing}, since {self.since}"


def holder_path(root: str) -> str:
    """Return the path of the file that names the holder."""
    return os.path.join(root, "push.holder")


def read_holder(root: str) -> Optional[Holder]:
    """Return who is recorded as the holder, also when its process has ended."""
    try:
        return from_json(Holder, read_json(holder_path(root)))
    except Malformed:
        return None


def write_holder(root: str, holder: Holder) -> None:
    """Record the holder."""
    write_text(holder_path(root), json.dumps({k: v for k, v in vars(holder).items() if v}))


def running_holder(root: str) -> Optional[Holder]:
    """Return the recorded holder if its process runs."""
    holder = read_holder(root)
    if holder is None or not holder.pid:
        return None
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return holder

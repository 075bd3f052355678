"""Begin a push or rollback: journal it, and remove what interrupted ones left."""

from __future__ import annotations

import os
import shutil

from provisioning.agent.store.journal import append
from provisioning.agent.store.leftovers import leftovers
from provisioning.agent.store.messages import Begin, Removed


def handle(request: Begin) -> Removed:
    """Return what was removed."""
    append(request.root, request.entry)
    removed: list[str] = []
    for name in leftovers(request.root):
        path = os.path.join(request.root, name)
        if request.keep and path.startswith(request.keep):
            continue
        # What the release already has is not sent: it is repaired where it is.
        if name == os.path.join("releases", request.entry.release):
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
        removed.append(name)
    return Removed(tuple(removed))

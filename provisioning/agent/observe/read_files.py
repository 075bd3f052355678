"""Read the content of files."""

from __future__ import annotations

import base64
import os
from typing import Optional

from provisioning.agent.observe.messages import FileContents, ReadFiles


def handle(request: ReadFiles) -> FileContents:
    """Return the content of each path."""
    base = os.path.realpath(os.path.join(request.root, request.directory))
    return FileContents({path: _read(base, path, request.limit) for path in request.paths})


def _read(base: str, path: str, limit: int) -> Optional[str]:
    full = os.path.realpath(os.path.join(base, path))
    try:
        if os.path.commonpath([base, full]) != base or os.path.getsize(full) > limit:
            return None
        with open(full, "rb") as file:
            return base64.b64encode(file.read()).decode()
    except OSError:
        return None

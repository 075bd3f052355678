"""What a push that was broken off can leave. Part of the scripts that need it."""

from __future__ import annotations

import os


def leftovers(root: str) -> list[str]:
    """Paths below our root that are half made; the release that `current` points to is never among them."""
    try:
        current = os.path.basename(os.readlink(os.path.join(root, "current")))
    except OSError:
        current = ""
    found = [name for name in ("current.new",) if os.path.lexists(os.path.join(root, name))]
    for folder in ("incoming", "releases", "data", "secrets"):
        try:
            names = sorted(os.listdir(os.path.join(root, folder)))
        except OSError:
            continue
        for name in names:
            path = os.path.join(folder, name)
            half = folder == "incoming" or name.endswith((".partial", ".new"))
            if folder == "releases" and not half and name != current:
                half = not os.path.exists(os.path.join(root, path, "manifest.json"))
            if half:
                found.append(path)
    return found

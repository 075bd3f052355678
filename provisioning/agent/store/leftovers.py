"""What an interrupted push can leave."""

from __future__ import annotations

import os

from provisioning.agent.files import current_release


def leftovers(root: str) -> list[str]:
    """Return the paths of partial files below the root; never the release that `current` points to."""
    current = current_release(root)
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

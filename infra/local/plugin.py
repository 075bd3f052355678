"""The rehearsal's AWS provider as a plugin of the engine: `python -m infra.local.plugin PULUMI_HOME`.

Its own version number lets a stack select it (`onebox:awsPluginVersion`) while the vendor's plugin is installed too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from infra.local.provider import VERSION

_EXECUTABLE: Final = "pulumi-resource-aws"


def install(pulumi_home: Path) -> Path:
    """Return the plugin's directory inside the engine's home, holding a link to this checkout's provider."""
    directory = pulumi_home / "plugins" / f"resource-aws-v{VERSION}"
    directory.mkdir(parents=True, exist_ok=True)
    link, target = directory / _EXECUTABLE, Path(__file__).resolve().parent / "provider" / _EXECUTABLE
    if not link.is_symlink() or link.resolve() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return directory


if __name__ == "__main__":
    install(Path(sys.argv[1]))

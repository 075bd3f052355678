"""`python -m images.ui.launcher`: serve the UI until SIGTERM; on SIGHUP try new pages, and activate them if they work.

Exit with the status of a server that exits.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .launcher import Launcher
from .preload import preload

CODE_VARIABLE = "ONEBOX_CODE_DIR"
STATE_VARIABLE = "ONEBOX_STATE_DIR"


def main() -> int:
    """Settings of the launcher's own are two directories; everything else in the environment is the UI's."""
    # Image and checkout have the same layout.
    code = Path(os.environ.get(CODE_VARIABLE) or Path(__file__).resolve().parents[3] / "ui")
    state = Path(os.environ.get(STATE_VARIABLE) or "/tmp/onebox")  # noqa: S108 - the container's tmpfs
    launcher = Launcher(code, state)
    preload()
    return launcher.run()


if __name__ == "__main__":
    sys.exit(main())

"""`python -m images.api.launcher`: run the API until SIGTERM; on SIGHUP reload its code, or its models.

New code runs in a new generation of processes, which inherits the sockets of the active one. The active generation is
drained when the new one answers, and keeps serving if it never does. Exit with the status of a service that exits.
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
    """Settings of the launcher's own are two directories; everything else in the environment is the service's."""
    # Image and checkout have the same layout.
    code = Path(os.environ.get(CODE_VARIABLE) or Path(__file__).resolve().parents[3] / "app")
    state = Path(os.environ.get(STATE_VARIABLE) or "/tmp/onebox")  # noqa: S108 - the container's tmpfs
    preload()
    return Launcher(code, state).run()


if __name__ == "__main__":
    sys.exit(main())

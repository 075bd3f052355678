"""`python -m launcher`: serve the UI until SIGTERM. On SIGHUP new code is tried, and takes over when its pages work.

Ends with the status of a server that ends by itself.
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
    # Beside a checkout this package lies inside the code, in the image it does not.
    code = Path(os.environ.get(CODE_VARIABLE) or Path(__file__).resolve().parents[1])
    state = Path(os.environ.get(STATE_VARIABLE) or "/tmp/onebox")  # noqa: S108 - the container's tmpfs
    launcher = Launcher(code, state)
    preload()
    return launcher.run()


if __name__ == "__main__":
    sys.exit(main())

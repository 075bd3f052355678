"""`python -m launcher`: run the service until SIGTERM. On SIGHUP new code takes over, or the service's models are read.

New code is a new generation of processes, which gets the sockets of the one that serves. That one is let go when the
new one answers, and goes on if it never does. Ends with the status of a service that ends by itself.
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
    # Beside a checkout this package lies inside the code, in the image it does not.
    code = Path(os.environ.get(CODE_VARIABLE) or Path(__file__).resolve().parents[1])
    state = Path(os.environ.get(STATE_VARIABLE) or "/tmp/onebox")  # noqa: S108 - the container's tmpfs
    preload()
    return Launcher(code, state).run()


if __name__ == "__main__":
    sys.exit(main())

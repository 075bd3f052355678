"""`python -m provisioning` is `onebox`."""

import gc
import os
import sys
import threading

# Loading modules makes many objects and hardly any garbage: it is looked for less often than usual.
gc.set_threshold(100_000, 20, 20)
# Modules are loaded beside a connection that is being made, and that needs little time, but at once.
sys.setswitchinterval(0.0005)

from provisioning.cli import main  # noqa: E402


def leave(status: int) -> None:
    """End without taking the interpreter down, which takes longer than many a command; where that loses nothing."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            # None where there is none to write to.
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        # The interpreter has words and a status for that.
        return
    os._exit(status)


try:
    main()
except SystemExit as ended:
    if ended.code is None or isinstance(ended.code, int):
        leave((ended.code or 0) & 0xFF)
    raise

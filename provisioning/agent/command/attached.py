"""Run one command that changes nothing of ours, and end it when our input ends. Arguments: the command."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys

PATIENCE_SECONDS = 5
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGCHLD, lambda *_: None)
try:
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error.strerror}")
while process.poll() is None:
    if 0 in select.select([0, wake], [], [], 60)[0] and not os.read(0, 4096):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        sys.exit(129)
sys.exit(process.returncode if process.returncode >= 0 else 128 - process.returncode)

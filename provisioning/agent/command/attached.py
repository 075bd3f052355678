"""Run a command that ends with its client."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess

from provisioning.agent.command.messages import RunAttached
from provisioning.agent.protocol import Exit, Refused

TERMINATION_SECONDS = 5


def handle(request: RunAttached) -> int:
    """Return the exit code of the command, HUNG_UP when the input ended. Raises Refused when it cannot start."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        process = subprocess.Popen(request.argv, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        raise Refused(f"{request.argv[0]}: {error.strerror}") from error
    while process.poll() is None:
        if 0 in select.select([0, wake], [], [], 60)[0] and not os.read(0, 4096):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(TERMINATION_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            return Exit.HUNG_UP
    return process.returncode if process.returncode >= 0 else 128 - process.returncode

"""Keeps the recorder running beside the workers, and never lets it touch them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECORDER = (sys.executable, "-m", "app.recorder")
STOP_SECONDS = 5.0
"""What the recorder gets to write what was answered last."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
log = logging.getLogger("app")


@contextmanager
def supervised(command: Sequence[str] = RECORDER) -> Iterator[None]:
    """Run this program until the block ends; one that dies is started again, after longer and longer pauses."""
    stop = threading.Event()
    keeper = threading.Thread(target=_keep, args=(tuple(command), stop), name="supervision", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join(STOP_SECONDS + 2)


def _keep(command: tuple[str, ...], stop: threading.Event) -> None:
    pause = FIRST_PAUSE
    while not stop.is_set():
        try:
            process = subprocess.Popen(command, env=_environ())
        except OSError as error:
            log.error("%s cannot be started: %s", command[-1], error)  # noqa: TRY400 - no trace of use
        else:
            lived = _watch(process, stop)
            if stop.is_set():
                return
            log.error(
                "%s ended with %s; predictions go on, and it is started again",
                command[-1],
                process.returncode,
            )
            if lived:
                pause = FIRST_PAUSE
        stop.wait(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def _watch(process: subprocess.Popen[bytes], stop: threading.Event) -> bool:
    """Until it has ended or is to end; whether it lived for a while."""
    looks = 0
    while process.poll() is None and not stop.wait(0.2):
        looks += 1
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return looks > 5 * LONGEST_PAUSE


def _environ() -> dict[str, str]:
    # The counters of the workers are none of its business.
    return {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from app.supervision import supervised

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.process

PROGRAM = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def stop(*_):
    (folder / "stopped").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
(folder / f"pid-{os.getpid()}").touch()
while True:
    time.sleep(0.05)
"""


def eventually(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def pids(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("pid-")) for path in folder.glob("pid-*")]


def test_a_program_that_dies_is_started_again_and_ended_with_the_block(tmp_path: Path) -> None:
    with supervised([sys.executable, "-c", PROGRAM, str(tmp_path)]):
        eventually(lambda: len(pids(tmp_path)) == 1)
        (first,) = pids(tmp_path)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(pids(tmp_path)) == 2)
    assert (tmp_path / "stopped").exists()
    for pid in pids(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_program_that_cannot_start_keeps_nobody_up() -> None:
    with supervised(["/nonexistent/program"]):
        pass

"""The real server as a process of its own."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 60


@contextmanager
def server(
    root: Path, port: int, models: Path, state: Path, *, stdout: IO[str] | int = subprocess.PIPE, **extra: str
) -> Iterator[subprocess.Popen[str]]:
    environ = {
        "PATH": os.environ["PATH"],
        "API_PORT": str(port),
        "API_WORKERS": "4",
        "ONEBOX_MODELS_DIR": str(models),
        "ONEBOX_STATE_DIR": str(state),
        **extra,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app.runtime.main"], cwd=root, env=environ, stdout=stdout, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, str]:
    """One GET on its own connection, so that any worker may answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def wait_until_ready(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended while starting"
        try:
            if get(port, "/ready")[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    pytest.fail(f"not ready after {START_SECONDS} s")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

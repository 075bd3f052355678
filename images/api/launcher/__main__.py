"""`python -m images.api.launcher`: run the API until SIGTERM; on SIGHUP reload its code, or its models.

New code runs in a new generation of processes, which inherits the sockets of the active one. The active generation is
drained when the new one answers, and keeps serving if it never does. Exit with the status of a service that exits.
"""

from __future__ import annotations

import sys

from images.launcher.entry_point import run

from .launcher import Launcher

MODULES = (
    "asyncio",
    "concurrent.futures",
    "http.client",
    "logging.config",
    "sqlite3",
    "flask",
    "httptools",
    "msgspec",
    "numpy",
    "onnxruntime",
    "prometheus_client",
    "uvloop",
)
"""What the service imports from others."""

if __name__ == "__main__":
    sys.exit(run(Launcher, "api", "app", MODULES))

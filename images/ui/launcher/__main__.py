"""`python -m images.ui.launcher`: serve the UI until SIGTERM; on SIGHUP activate new pages that pass their self-check.

Exit with the status of a server that exits.
"""

from __future__ import annotations

import sys

from images.launcher.entry_point import run

from .launcher import Launcher

MODULES = (
    "pandas",
    "prometheus_client.parser",
    "requests",
    "streamlit.testing.v1",
    "streamlit.web.bootstrap",
    "streamlit.web.server.starlette.starlette_app",
    "streamlit.material_icon_names",
    "PIL.PngImagePlugin",
    "uvicorn",
)
"""What the pages and their server import from others."""

if __name__ == "__main__":
    sys.exit(run(Launcher, "ui", "ui", MODULES))

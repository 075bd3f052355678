"""What the pages import from others, loaded once: the server and every trial share its memory and start at once."""

from __future__ import annotations

import gc
import importlib
import os
from contextlib import suppress

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


def preload() -> None:
    """Import them. One that is not there is the business of the code that needs it."""
    # A process that forks must have no threads: not those of numpy, nor the one of Arrow's allocator.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
    for name in MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
    # A collection writes to every object that it looks at, and a page that is written to is shared no longer.
    gc.collect()
    gc.freeze()

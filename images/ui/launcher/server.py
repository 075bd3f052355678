"""The process that serves browsers: Streamlit, and `GET /code`, which reports the active code."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import streamlit as st
from starlette.responses import JSONResponse
from starlette.routing import Route

from .active_code import ActiveCode
from .loading import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from starlette.requests import Request

_OK, _UNAVAILABLE = 200, 503


class CodeReport(TypedDict):
    """The body of `GET /code`."""

    serving: str
    """Digest of the loaded code."""
    tried: bool
    """Whether all of its pages have passed their self-check."""
    refused: dict[str, str | float] | None
    """The latest code, when it was not activated: see Refusal."""


class Pages:
    """The code that this process has loaded; it loads other code as soon as that is active."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._digest = self._path = ""
        self._frame: ModuleType | None = None
        self._lock = threading.Lock()

    def frame(self) -> ModuleType:
        """Return the frame of the active code. If its import fails, return the previous one, or raise the error."""
        wanted = ActiveCode.read(self._file)
        with self._lock:
            if self._frame is None or wanted.path != self._path:
                try:
                    self._frame = self._load(wanted)
                except Exception:
                    if self._frame is None:
                        raise
                    traceback.print_exc()
            return self._frame

    def report(self) -> CodeReport:
        """Return digest and self-check of the loaded code, and the latest refusal."""
        with suppress(Exception):
            # The self-check has reported it, or will.
            self.frame()
        wanted = ActiveCode.read(self._file)
        return {
            "serving": self._digest,
            "tried": wanted.tried and wanted.digest == self._digest,
            "refused": asdict(wanted.refused) if wanted.refused else None,
        }

    def _load(self, wanted: ActiveCode) -> ModuleType:
        frame = load(wanted.path)
        if self._frame is not None:
            # The caches may hold objects of the previous code's classes.
            st.cache_resource.clear()
            st.cache_data.clear()
        self._digest, self._path = wanted.digest, wanted.path
        return frame


_pages: list[Pages] = []
"""Of this process. Streamlit runs `page.py` by its path and passes it nothing."""


def show() -> None:
    """Run the page that a browser requested."""
    _pages[0].frame().main()


def serve(file: Path, parent: int) -> None:
    """Serve until SIGTERM, or until the launcher has ended.

    file: the launcher's record of the active code. parent: reading end of a pipe whose other end the launcher holds.
    """
    _pages[:] = [Pages(file)]
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    st.App(Path(__file__).with_name("page.py"), routes=[Route("/code", _code)]).run(
        config=_options(os.environ)
    )


def _options(environ: Mapping[str, str]) -> dict[str, str | int]:
    """Return the options that `streamlit run` reads from the environment, and `st.App` does not."""
    port = environ.get("STREAMLIT_SERVER_PORT")
    return {
        "server.address": environ.get("STREAMLIT_SERVER_ADDRESS") or "127.0.0.1",
        "server.port": int(port) if port else 8501,
    }


def _code(_request: Request) -> JSONResponse:
    report = _pages[0].report()
    return JSONResponse(report, _UNAVAILABLE if report["refused"] and not report["tried"] else _OK)


def _follow(parent: int) -> None:
    os.read(parent, 1)
    os.kill(os.getpid(), signal.SIGTERM)

"""The process that serves browsers: Streamlit, and which code it runs under `GET /code`."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import streamlit as st
from starlette.responses import JSONResponse
from starlette.routing import Route

from .in_force import InForce
from .loading import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from starlette.requests import Request

_OK, _UNAVAILABLE = 200, 503


class Pages:
    """The code that this process has loaded, exchanged as soon as other code is in force."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._digest = self._path = ""
        self._frame: ModuleType | None = None
        self._lock = threading.Lock()

    def frame(self) -> ModuleType:
        """The frame of the code that is in force. Where that cannot be imported: the one before, or what it raises."""
        wanted = InForce.read(self._file)
        with self._lock:
            if wanted.path != self._path:
                try:
                    self._exchange(wanted)
                except Exception:
                    if self._frame is None:
                        raise
                    traceback.print_exc()
            return cast("ModuleType", self._frame)

    def answer(self) -> dict[str, Any]:
        """What this process serves: digest, whether all of its pages were tried, and what was refused last."""
        with suppress(Exception):
            # The trial has said it, or is about to.
            self.frame()
        wanted = InForce.read(self._file)
        return {
            "serving": self._digest,
            "tried": wanted.tried and wanted.digest == self._digest,
            "refused": asdict(wanted.refused) if wanted.refused else None,
        }

    def _exchange(self, wanted: InForce) -> None:
        frame = load(wanted.path)
        if self._frame is not None:
            # They may hold objects of classes that are no more.
            st.cache_resource.clear()
            st.cache_data.clear()
        self._digest, self._path, self._frame = wanted.digest, wanted.path, frame


_pages: list[Pages] = []
"""Of this process. Streamlit runs `page.py` by its path and can hand it nothing."""


def show() -> None:
    """Run the page that a browser asked for."""
    _pages[0].frame().main()


def serve(file: Path, parent: int) -> None:
    """Serve until SIGTERM, or until `parent`, the reading end of a pipe of the launcher's, says that it is gone.

    file: where the launcher writes which code is in force.
    """
    _pages[:] = [Pages(file)]
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    st.App(Path(__file__).with_name("page.py"), routes=[Route("/code", _code)]).run(
        config=_options(os.environ)
    )


def _options(environ: Mapping[str, str]) -> dict[str, Any]:
    """What `streamlit run` takes from the environment, and an app that is run by a program does not."""
    port = environ.get("STREAMLIT_SERVER_PORT")
    return {
        "server.address": environ.get("STREAMLIT_SERVER_ADDRESS") or "127.0.0.1",
        "server.port": int(port) if port else 8501,
    }


def _code(_request: Request) -> JSONResponse:
    answer = _pages[0].answer()
    return JSONResponse(answer, _UNAVAILABLE if answer["refused"] and not answer["tried"] else _OK)


def _follow(parent: int) -> None:
    os.read(parent, 1)
    os.kill(os.getpid(), signal.SIGTERM)

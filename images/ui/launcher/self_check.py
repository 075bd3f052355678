"""Run every page of new code once, without a browser, before any user sees it."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from streamlit import config
from streamlit.testing.v1 import AppTest

from .loading import load
from .snapshot import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

UNLIMITED = 3600.0
"""Seconds; the launcher ends a self-check that takes too long."""
_SHOWN, _FIRST = "launcher:page", ""
_frame: list[ModuleType] = []
_failed: list[BaseException] = []


def check_pages(path: str) -> str:
    """Return file, line and type of the first error of the code in this directory; empty when all pages work.

    The pages send their usual requests to the API, as it is now. The traceback goes to standard error.
    """
    # The server's setting hides errors from the browser; here they are what is looked for.
    config.set_option("client.showErrorDetails", "full")
    # Streamlit warns for each page that no browser has requested it.
    logging.disable(logging.WARNING)
    try:
        _frame[:] = [load(path)]
        session = AppTest.from_function(_script, default_timeout=UNLIMITED)
        for name in (_FIRST, *_frame[0].PAGES):
            session.session_state[_SHOWN] = name
            session.run()
            if _failed:
                break
    except BaseException as error:  # noqa: BLE001 - with any error these pages do not serve
        _failed.append(error)
    if not _failed:
        return ""
    traceback.print_exception(_failed[0])
    return describe(_failed[0], path)


def run_page() -> None:
    """Run the chosen page, or the frame with the first one, and keep what it raises."""
    frame, name = _frame[0], st.session_state[_SHOWN]
    run: Callable[[], None] = frame.main if name == _FIRST else frame.PAGES[name]
    try:
        run()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - not what Streamlit itself raises to end a page
        _failed.append(error)


def describe(error: BaseException, path: str) -> str:
    """Return file, line and type of an error in this directory. Not its message: that may hold anything."""
    if isinstance(error, SyntaxError):
        return f"{_relative(error.filename or '?', path)}, line {error.lineno}: {error.msg}"
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(path)]
    kind = type(error).__name__
    if not places:
        return kind
    return f"{_relative(places[-1].filename, path)}, line {places[-1].lineno}: {kind}"


def _relative(file: str, path: str) -> str:
    # Below the directory lies the package itself.
    return (
        Path(file).relative_to(path).relative_to(PACKAGE).as_posix()
        if file.startswith(path)
        else Path(file).name
    )


def _script() -> None:
    from images.ui.launcher.self_check import run_page

    run_page()

"""The app's pages without a browser, and what can be read off them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.ipc
from streamlit.testing.v1 import AppTest

import ui

APP = Path(ui.__file__).parent / "streamlit_app.py"
_SHOWN = "page of the test"


def open_app() -> AppTest:
    """A browser's session that shows the first page."""
    app = AppTest.from_function(_script, default_timeout=20)
    return switch(app, "predict")


def switch(app: AppTest, page: str) -> AppTest:
    """The same session on another page."""
    app.session_state[_SHOWN] = page
    return app.run()


def _script() -> None:
    import streamlit as st

    from ui.streamlit_app import PAGES

    PAGES[st.session_state["page of the test"]]()


def words(app: AppTest) -> str:
    return " ".join(
        str(element.value) for kind in (app.markdown, app.caption, app.metric) for element in kind
    ).replace("\\", "")


def charted(app: AppTest) -> dict[str, float]:
    """The values of the page's one chart by name, as they are sent to the browser."""
    (chart,) = app.get("vega_lite_chart")
    table = pyarrow.ipc.open_stream(chart.proto.data.data).read_all()
    return dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))

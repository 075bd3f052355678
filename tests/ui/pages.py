"""The app's pages without a browser, and what can be read off them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.ipc
from streamlit.testing.v1 import AppTest

import ui

APP = Path(ui.__file__).parent / "streamlit_app.py"


def words(app: AppTest) -> str:
    return " ".join(
        str(element.value) for kind in (app.markdown, app.caption, app.metric) for element in kind
    ).replace("\\", "")


def charted(app: AppTest) -> dict[str, float]:
    """The values of the page's one chart by name, as they are sent to the browser."""
    (chart,) = app.get("vega_lite_chart")
    table = pyarrow.ipc.open_stream(chart.proto.data.data).read_all()
    return dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))

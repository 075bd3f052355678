"""The page frame: navigation and the requested page. `python -m images.ui.launcher` serves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from ui.app_pages import drift, experiment, history, predict, status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGES: Mapping[str, Callable[[], None]] = {
    "predict": predict.page,
    "history": history.page,
    "drift": drift.page,
    "experiment": experiment.page,
    "status": status.page,
}
"""Path of the URL -> page; the first one is at `/`."""
ICONS = {
    "predict": ":material/tune:",
    "history": ":material/history:",
    "drift": ":material/compare_arrows:",
    "experiment": ":material/science:",
    "status": ":material/monitoring:",
}


def main() -> None:
    """Show the page that the browser requested."""
    # For a named icon every browser would send a request to a font server on the internet.
    st.set_page_config(page_title="onebox", page_icon=Path(__file__).with_name("icon.png"), layout="wide")
    first = next(iter(PAGES))
    st.navigation(
        [
            st.Page(page, title=name.capitalize(), icon=ICONS[name], url_path=name, default=name == first)
            for name, page in PAGES.items()
        ],
        position="top",
    ).run()


if __name__ == "__main__":
    main()

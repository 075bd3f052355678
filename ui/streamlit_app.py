"""Page frame and list of pages; `python -m images.ui.launcher` serves it."""

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
"""Path in the address -> page; the first one answers at `/`."""
ICONS = {
    "predict": ":material/tune:",
    "history": ":material/history:",
    "drift": ":material/compare_arrows:",
    "experiment": ":material/science:",
    "status": ":material/monitoring:",
}


def main() -> None:
    """Show the requested page."""
    # For a named icon every browser would request a font server on the internet.
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

"""Page History: the latest predictions of all users."""

from __future__ import annotations

import streamlit as st

from ui.display import table
from ui.display.notices import show_outage
from ui.errors import UiError
from ui.session import api_client

LENGTH = 500


def page() -> None:
    st.title("History")
    try:
        logged = api_client().predictions(LENGTH)
    except UiError as error:
        show_outage(error)
        return
    if not logged:
        st.info("No predictions in the log yet. They appear here within a second.", icon=":material/info:")
        return
    rows = table.predictions(logged)
    place, button = st.columns([4, 1], vertical_alignment="center")
    place.caption(
        f"The latest {len(rows)} predictions of all users (at most {LENGTH}), newest first, with the "
        "prediction of the other model for the same row. Synthetic ones are excluded from drift and experiment."
    )
    button.download_button(
        "Download CSV",
        data=table.as_csv(rows),
        file_name="predictions.csv",
        mime="text/csv",
        icon=":material/download:",
        key="download-history",
        on_click="ignore",
        width="stretch",
    )
    st.dataframe(
        rows,
        hide_index=True,
        key="history-table",
        column_config={
            "time (UTC)": st.column_config.TextColumn(pinned=True),
            "prediction id": st.column_config.TextColumn(width="small"),
        },
    )

"""The predictions of this browser session."""

from __future__ import annotations

import streamlit as st

from ui import session, table


def page() -> None:
    st.title("History")
    records = session.history()
    if not records:
        st.info(
            "No predictions in this session yet. Those you make on the Predict page appear here.",
            icon=":material/info:",
        )
        return
    rows = table.rows(records)
    place, button = st.columns([4, 1], vertical_alignment="center")
    place.caption(
        f"The latest {len(rows)} of this session (at most {session.HISTORY_LENGTH}), newest first. "
        "A reload of the page starts a new session; totals of all users are on the Status page."
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
            "probability": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0),
            "prediction id": st.column_config.TextColumn(width="small"),
        },
    )


page()

"""The page frame: `streamlit run ui/streamlit_app.py`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

# A named icon would have every browser ask a font server on the internet for it.
st.set_page_config(page_title="onebox", page_icon=Path(__file__).with_name("icon.png"), layout="wide")
st.navigation(
    [
        st.Page("app_pages/predict.py", title="Predict", icon=":material/tune:", default=True),
        st.Page("app_pages/history.py", title="History", icon=":material/history:"),
        st.Page("app_pages/drift.py", title="Drift", icon=":material/compare_arrows:"),
        st.Page("app_pages/experiment.py", title="Experiment", icon=":material/science:"),
        st.Page("app_pages/status.py", title="Status", icon=":material/monitoring:"),
    ],
    position="top",
).run()

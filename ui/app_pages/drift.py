"""Page Drift: recent rows compared with the training data, refreshed every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.display import table
from ui.display.notices import show_outage
from ui.display.wording import drift_verdict, plain, share
from ui.errors import UiError
from ui.session import api_client

if TYPE_CHECKING:
    from ui.api.reports import Distance, Drift

REFRESH = "5s"


def page() -> None:
    st.title("Drift")
    live()


@st.fragment(run_every=REFRESH)
def live() -> None:
    """Show the whole page; an outage shows one message."""
    try:
        drift = api_client().drift()
    except UiError as error:
        show_outage(error)
        return
    show_verdict(drift)
    if not drift.features:
        return
    st.subheader("Features")
    show_distances(drift.features, "feature", "mean now", "mean in training")
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Answers")
        show_distances(drift.classes, "class", "share now", "share expected")
    with right:
        st.subheader("Together")
        show_joint(drift)


def show_verdict(drift: Drift) -> None:
    """Show the verdict and its basis."""
    sentence = plain(drift_verdict(drift))
    if drift.status == "warming_up":
        st.progress(min(1.0, drift.rows / drift.minimum) if drift.minimum else 0.0, text=sentence)
    elif drift.status == "drifted":
        st.warning(sentence, icon=":material/warning:")
    elif drift.status == "steady":
        st.success(sentence, icon=":material/check:")
    else:
        st.info(sentence, icon=":material/info:")
    rate = ""
    if drift.false_alarm_rate is not None:
        rate = f"{share(drift.false_alarm_rate)} of windows without drift are false alarms. "
    st.caption(
        f"The latest {drift.window} rows are compared with the training rows; synthetic ones are excluded. "
        f"{rate}Simple score of mean and spread: {'–' if drift.score is None else f'{drift.score:.2f}'}."
    )


def show_distances(items: tuple[Distance, ...], what: str, now: str, training: str) -> None:
    """Show distances as a table, the greatest first."""
    st.dataframe(
        table.distances(items, what, now, training),
        hide_index=True,
        key=f"drift-{what}",
        column_config={
            "of its limit": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0),
            **{
                name: st.column_config.NumberColumn(format="%.4g")
                for name in (now, training, "distance", "limit")
            },
        },
    )


def show_joint(drift: Drift) -> None:
    """Show the change of the correlations between features in one number."""
    if drift.joint is None:
        st.caption("A single feature has no correlations.")
        return
    st.metric("Correlations between features", f"{share(drift.joint.ratio)} of its limit")
    st.caption(
        "How far the rank correlations of the features have moved. It detects columns that were shuffled or swapped "
        "while each keeps its distribution."
    )

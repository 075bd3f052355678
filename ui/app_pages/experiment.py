"""Page Experiment: the verdict with its numbers, and labels for rows on which the models disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.display import table
from ui.display.notices import show_error, show_models_off, show_outage
from ui.display.wording import plain, ratio_sentence, share
from ui.errors import ApiError, UiError
from ui.session import api_client

if TYPE_CHECKING:
    from ui.api.answers import Config
    from ui.api.client import ApiClient
    from ui.api.reports import ExperimentReport, Logged

LOOKED_THROUGH = 500
SHOWN = 50


def page() -> None:
    st.title("Experiment")
    try:
        api = api_client()
        config = api.config()
        # A label sent by this run counts already.
        said = st.session_state.pop("label-said", None)
        report, logged = api.experiment(), api.predictions(LOOKED_THROUGH)
    except UiError as error:
        show_outage(error)
        return
    show_models_off(config)
    show_verdict(report)
    st.subheader("Labels")
    if said:
        st.success(plain(said), icon=":material/check:")
    disputed = [row for row in logged if row.disputed]
    label_form(api, config, disputed)
    show_disputed(disputed, len(logged))


def show_verdict(report: ExperimentReport) -> None:
    """Show the verdict and its basis."""
    first, second, third = st.columns(3)
    first.metric("Verdict", table.verdict(report), border=True)
    rate = "–" if report.disagreement_rate is None else share(report.disagreement_rate)
    second.metric("The models disagree on", rate, border=True)
    third.metric("Rows scored by both", f"{report.compared:,}", border=True)
    st.markdown(plain(f"{report.reason[:1].upper()}{report.reason[1:]}."))
    st.dataframe(table.arms(report), hide_index=True, key="experiment-arms")
    since = f"Since {report.since}. " if report.since else ""
    st.caption(plain(f"{since}{ratio_sentence(report)} Look as often as you like: the test is sequential."))
    if any(row["both right"] or row["only v1 right"] or row["only v2 right"] for row in table.labels(report)):
        st.caption(
            "Labels by the version that answered. People tend to agree with a prediction that they saw."
        )
        st.dataframe(table.labels(report), hide_index=True, key="experiment-labels")


def label_form(api: ApiClient, config: Config, disputed: list[Logged]) -> None:
    """Show a form for the true class of a row."""
    first = disputed[0].prediction_id if disputed else ""
    with st.form("label", clear_on_submit=False):
        left, middle, right = st.columns([3, 2, 1], vertical_alignment="bottom")
        prediction_id = left.text_input("Prediction id", value=first, key=f"label-id:{first}")
        label = middle.selectbox("True class", config.classes, index=None, key=f"label-class:{first}")
        pressed = right.form_submit_button("Save label", type="primary", key="save-label", width="stretch")
    if not pressed:
        return
    if not prediction_id.strip() or label is None:
        st.warning("Choose a prediction and its class first.", icon=":material/info:")
        return
    try:
        recorded = api.feedback(prediction_id.strip(), label)
    except ApiError as error:
        show_error(error)
        return
    st.session_state["label-said"] = f"{prediction_id.strip()} is {label} ({recorded})."
    st.rerun()


def show_disputed(disputed: list[Logged], looked_through: int) -> None:
    """Show the unlabelled rows on which the models disagree."""
    if not disputed:
        st.caption(f"No row without a label on which the models disagree, among the latest {looked_through}.")
        return
    st.caption(
        f"{len(disputed)} of the latest {looked_through} rows have no label, and the models disagree on them; "
        "labels of these decide."
    )
    st.dataframe(table.predictions(disputed[:SHOWN]), hide_index=True, key="disputed")

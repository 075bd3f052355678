"""Page Status: usage, models and drift of the API, refreshed every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.display.charts import bars
from ui.display.notices import show_models_off, show_outage
from ui.display.wording import drift_sentence, duration, listed, plain, share
from ui.errors import UiError
from ui.session import api_client

if TYPE_CHECKING:
    from ui.api.answers import Config
    from ui.api.usage import Usage

REFRESH = "5s"


def page() -> None:
    st.title("Status")
    live()


@st.fragment(run_every=REFRESH)
def live() -> None:
    """Show the whole page; an outage shows one message."""
    try:
        api = api_client()
        config, usage = api.config(), api.usage()
    except UiError as error:
        show_outage(error)
        return
    show_models_off(config)
    st.caption(
        f"Counted by the API since it started, for all users. Release {plain(config.service_digest[:12])}, "
        f"read again every {REFRESH.rstrip('s')} seconds."
    )
    show_totals(usage)
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        show_traffic(usage, config)
    with right.container(border=True, height="stretch"):
        show_drift(usage, config)
    if config.models:
        show_models(config)


def show_totals(usage: Usage) -> None:
    """Show predictions, failures, rejections and latencies in one row."""
    values = {
        "Predictions": f"{usage.requests:,}",
        "Model errors": f"{usage.errors:,}",
        "Refused requests": f"{usage.refused:,}",
        "Latency p50": duration(usage.latency_p50),
        "Latency p95": duration(usage.latency_p95),
    }
    for column, (label, value) in zip(st.columns(len(values)), values.items(), strict=True):
        column.metric(label, value, border=True)


def show_traffic(usage: Usage, config: Config) -> None:
    """Show requests by the version that answered, and the split."""
    st.markdown("**Requests by version**")
    counts = {version: usage.requests_by_version.get(version, 0) for version in config.models}
    counts |= usage.requests_by_version
    st.vega_lite_chart(bars(counts, highlight=None, percent=False), key="traffic")
    parts = [f"{version} {share(part)}" for version, part in config.split.items()]
    st.caption(plain(f"Configured split: {', '.join(parts)}."))


def show_drift(usage: Usage, config: Config) -> None:
    """Show the drift score, or how many rows the window still lacks."""
    st.markdown("**Drift**")
    if usage.drift_score is None:
        part = usage.drift_rows / config.drift.minimum if config.drift.minimum > 0 else 0.0
        st.progress(min(1.0, part), text=drift_sentence(usage, config))
    else:
        st.metric("Score", f"{usage.drift_score:.2f}")
        (st.warning if usage.drift_found else st.success)(drift_sentence(usage, config))
    st.caption(
        "The score compares mean and spread only: 0 is like the training data, 1 is far from it. The drift test "
        "compares more, and the alert depends on it."
    )


def show_models(config: Config) -> None:
    """Show one card per model."""
    st.subheader("Models")
    for column, (version, arm) in zip(st.columns(len(config.models)), config.models.items(), strict=True):
        with column.container(border=True, height="stretch"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{plain(version)}**", width="content")
                st.badge("up" if arm.up else "off", color="green" if arm.up else "red")
                st.caption(f"weight {config.weights.get(version, 0):g}", width="content")
            st.markdown(
                plain(f"{arm.algorithm or 'Unknown algorithm'}: {listed(arm.params) or 'no parameters'}")
            )
            st.caption(plain(f"Held-out data: {listed(arm.metrics) or 'no metrics'}"))
            st.caption(plain(f"File {(arm.sha256 or 'unknown')[:12]}"))

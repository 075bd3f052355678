"""Page Predict: sliders for one row, and its prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.display import inputs
from ui.display.charts import bars
from ui.display.notices import show_error, show_models_off, show_no_models, show_outage
from ui.display.wording import plain, reason_sentence, share, split_sentence
from ui.errors import ApiError, UiError
from ui.session import api_client, latest, remember

if TYPE_CHECKING:
    from ui.api.answers import Config, Feature
    from ui.api.client import ApiClient
    from ui.session import Record

REAL_HELP = "Off: a trial; the row is marked as synthetic. On: a row of real use."


def page() -> None:
    st.title("Predict")
    try:
        api = api_client()
        config = api.config()
    except UiError as error:
        show_outage(error)
        return
    if not config.features:
        show_no_models(config)
        return
    show_models_off(config)
    st.caption(f"Traffic: {plain(split_sentence(config))}. Slider ranges are those of the training data.")
    record = latest()
    asked = feature_form(config.features, record)
    if asked is not None:
        record = ask(api, *asked)
    if record is not None:
        show_answer(record, config)


def feature_form(
    features: tuple[Feature, ...], record: Record | None
) -> tuple[dict[str, float], bool] | None:
    """Show a slider per feature. Return the row and whether it is real, after the button is pressed."""
    last = record.features if record else {}
    width = inputs.columns(len(features))
    row: dict[str, float] = {}
    with st.form("features"):
        for start in range(0, len(features), width):
            for column, feature in zip(st.columns(width, gap="medium"), features[start:], strict=False):
                row[feature.name] = feature_slider(column, feature, last.get(feature.name))
        with st.container(horizontal=True, vertical_alignment="center"):
            pressed = st.form_submit_button("Get Prediction", type="primary", key="get-prediction")
            real = st.toggle("Count for drift and experiment", key="real", help=REAL_HELP)
    return (row, real) if pressed else None


def feature_slider(place: st.delta_generator.DeltaGenerator, feature: Feature, last: float | None) -> float:
    """Show the slider of one feature, set to its last value or to the mean of the training data."""
    spec = inputs.slider(feature, last)
    value: float = place.slider(
        plain(feature.name),
        min_value=spec.low,
        max_value=spec.high,
        value=spec.start,
        step=spec.step,
        format=spec.format,
        key=f"feature:{feature.name}",
    )
    return value


def ask(api: ApiClient, row: dict[str, float], real: bool) -> Record | None:
    """Return the prediction and remember it; on an error show it and return None."""
    try:
        return remember(row, api.predict(row, synthetic=not real))
    except ApiError as error:
        show_error(error)
        return None


def show_answer(record: Record, config: Config) -> None:
    """Show class, model and probabilities of one prediction."""
    prediction = record.prediction
    left, right = st.columns([2, 3], gap="medium")
    with left.container(border=True, height="stretch"):
        first, second = st.columns(2)
        first.metric("Prediction", plain(prediction.class_name))
        probability = prediction.probabilities.get(prediction.class_name)
        second.metric("Probability", "–" if probability is None else share(probability))
        st.markdown(f"Answered by model **{plain(prediction.model_version)}**.")
        st.caption(plain(reason_sentence(prediction, config)))
        st.caption(f"Prediction id {plain(prediction.prediction_id)}, {record.at:%H:%M:%S} UTC.")
    with right.container(border=True, height="stretch"):
        st.markdown("**Probability by class**")
        st.vega_lite_chart(
            bars(prediction.probabilities, highlight=prediction.class_name, percent=True), key="probabilities"
        )

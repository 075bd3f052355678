"""Error and warning elements that all pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.display.wording import error_sentence, off_sentence, plain

if TYPE_CHECKING:
    from ui.api.responses import Config
    from ui.errors import UiError


def show_error(error: UiError) -> None:
    """Show the error and the next step."""
    st.error(error_sentence(error), icon=":material/error:")


def show_outage(error: UiError) -> None:
    """Show the error of a page that can show nothing else, and a button that reruns the page."""
    show_error(error)
    show_retry()


def show_no_models(config: Config) -> None:
    """Show why the API has no model, and a button that reruns the page."""
    st.error(
        f"The prediction API has no models: {plain((config.reason or 'no reason given').rstrip('.'))}. "
        "Train them or roll back to the release before, then try again.",
        icon=":material/error:",
    )
    show_retry()


def show_retry() -> None:
    """Show a button that reruns the page."""
    st.button("Try again", key="try-again", icon=":material/refresh:")


def show_models_off(config: Config) -> None:
    """Show a warning while a model is unavailable."""
    if sentence := off_sentence(config):
        st.warning(plain(sentence), icon=":material/warning:")

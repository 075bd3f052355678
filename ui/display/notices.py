"""Error notices that all pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.display.wording import error_sentence, plain, unavailable_sentence

if TYPE_CHECKING:
    from ui.api.answers import Config
    from ui.errors import UiError


def show_error(error: UiError) -> None:
    """Show one error: what went wrong and what to do."""
    st.error(error_sentence(error), icon=":material/error:")


def show_outage(error: UiError) -> None:
    """Show the error of a page that can show nothing else, and a button to retry."""
    show_error(error)
    show_retry()


def show_no_models(config: Config) -> None:
    """Show why the API has no models, and a button to retry."""
    st.error(
        f"The prediction API has no models: {plain((config.reason or 'no reason given').rstrip('.'))}. "
        "Train them or roll back to the previous release, then try again.",
        icon=":material/error:",
    )
    show_retry()


def show_retry() -> None:
    """Show a button that runs the page again."""
    st.button("Try again", key="try-again", icon=":material/refresh:")


def show_models_off(config: Config) -> None:
    """Show a warning while a model is unavailable."""
    if sentence := unavailable_sentence(config):
        st.warning(plain(sentence), icon=":material/warning:")

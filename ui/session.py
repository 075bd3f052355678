"""State of the UI: one API client per process, and the latest prediction of each browser session."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from ui.api.client import ApiClient
from ui.settings import UiSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ui.api.answers import Prediction

_LATEST = "latest"


@dataclass(frozen=True)
class Record:
    """One prediction of this session: time (UTC), inputs, response."""

    at: datetime
    features: Mapping[str, float]
    prediction: Prediction


@functools.cache
def api_client() -> ApiClient:
    """Return the client of these pages, made from the environment. Raise SettingsError.

    Streamlit's cache is keyed by name: after a reload it would return the new client to pages of the previous code
    that still refresh in an open browser.
    """
    return ApiClient(UiSettings.from_environ(os.environ))


def latest() -> Record | None:
    """Return this session's latest prediction; all others are in the prediction log."""
    record = st.session_state.get(_LATEST)
    # After a reload the stored record may be of the previous code's class.
    return record if isinstance(record, Record) else None


def remember(features: Mapping[str, float], prediction: Prediction) -> Record:
    """Store the latest prediction of this session."""
    record = Record(at=datetime.now(UTC), features=dict(features), prediction=prediction)
    st.session_state[_LATEST] = record
    return record

"""State of the UI: one API client for the process, and the latest prediction of each browser session."""

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

    from ui.api.responses import Prediction

_LATEST = "latest"


@dataclass(frozen=True)
class Record:
    """One prediction of this session: time (UTC), inputs, and the API's response."""

    at: datetime
    features: Mapping[str, float]
    prediction: Prediction


@functools.cache
def api_client() -> ApiClient:
    """Return the client of these pages, configured by the environment. Raises SettingsError.

    Not Streamlit's cache: its key is the name, so that after a reload the previous pages, which still refresh in
    an open browser, would get a client of the new ones.
    """
    return ApiClient(UiSettings.from_environ(os.environ))


def latest() -> Record | None:
    """Return this session's latest prediction; all others are in the API's log."""
    record = st.session_state.get(_LATEST)
    # Before a reload, the previous pages stored an object of their own class.
    return record if isinstance(record, Record) else None


def remember(features: Mapping[str, float], prediction: Prediction) -> Record:
    """Store this prediction as the latest one."""
    record = Record(at=datetime.now(UTC), features=dict(features), prediction=prediction)
    st.session_state[_LATEST] = record
    return record

"""What the UI keeps: one API client for the process, and each browser session's latest prediction."""

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
    """One prediction of this session: when (UTC), with which inputs, and the answer."""

    at: datetime
    features: Mapping[str, float]
    prediction: Prediction


@functools.cache
def api_client() -> ApiClient:
    """The one client of these pages, from the environment. Raises SettingsError.

    Not Streamlit's cache: that goes by name, and would hand a client of exchanged pages to those that refresh
    themselves in an open browser and still are the ones before.
    """
    return ApiClient(UiSettings.from_environ(os.environ))


def latest() -> Record | None:
    """This session's latest prediction; all others are in the API's log."""
    record = st.session_state.get(_LATEST)
    # Pages that were exchanged under this session left one of their own kind.
    return record if isinstance(record, Record) else None


def remember(features: Mapping[str, float], prediction: Prediction) -> Record:
    """Make this the latest prediction."""
    record = Record(at=datetime.now(UTC), features=dict(features), prediction=prediction)
    st.session_state[_LATEST] = record
    return record

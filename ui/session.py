"""What the UI keeps: one API client for the process, and each browser session's predictions."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import streamlit as st

from ui.client import ApiClient
from ui.settings import UiSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ui.answers import Prediction

HISTORY_LENGTH = 500
_HISTORY = "history"


@dataclass(frozen=True)
class Record:
    """One prediction of this session: when (UTC), with which inputs, and the answer."""

    at: datetime
    features: Mapping[str, float]
    prediction: Prediction


@st.cache_resource(show_spinner=False)
def api_client() -> ApiClient:
    """The one client of this process, from the environment. Raises SettingsError."""
    return ApiClient(UiSettings.from_environ(os.environ))


def history() -> deque[Record]:
    """This session's predictions, oldest first; the oldest are dropped beyond HISTORY_LENGTH."""
    return cast("deque[Record]", st.session_state.setdefault(_HISTORY, deque(maxlen=HISTORY_LENGTH)))


def remember(features: Mapping[str, float], prediction: Prediction) -> Record:
    """Put a prediction at the end of the history."""
    record = Record(at=datetime.now(UTC), features=dict(features), prediction=prediction)
    history().append(record)
    return record

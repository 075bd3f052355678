"""Status of the recorder: a small file that it writes at every poll, and the workers read at the scrape."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

FILE = "recorder.json"
ALIVE_SECONDS = 10.0
"""Age of the status from which on the recorder counts as down."""


class RecorderStatus(msgspec.Struct, frozen=True):
    """Counts since the start of the service, over restarts of the recorder."""

    time_ns: int = 0
    """Unix time of the last poll in nanoseconds."""
    starts: int = 0
    recorded: int = 0
    shed: int = 0
    """Answered rows that were overwritten before the recorder read them."""
    compared: int = 0
    disagreed: int = 0


def write_status(state_dir: Path, status: RecorderStatus) -> None:
    """Replace the status atomically."""
    part = state_dir / f".{FILE}.{os.getpid()}"
    part.write_bytes(msgspec.json.encode(status))
    part.replace(state_dir / FILE)


def read_status(state_dir: Path) -> RecorderStatus:
    """Return the last status; zeros where there is none."""
    try:
        return msgspec.json.decode((state_dir / FILE).read_bytes(), type=RecorderStatus)
    except (OSError, msgspec.DecodeError):
        return RecorderStatus()


def recorder_gauges(state_dir: Path) -> Iterator[Metric]:
    """Yield the recorder as Prometheus families."""
    status = read_status(state_dir)
    alive = time.time_ns() - status.time_ns < ALIVE_SECONDS * 1e9
    yield GaugeMetricFamily(
        "prediction_log_up", "1 while the recorder of predictions runs.", value=float(alive)
    )
    for name, text, value in (
        ("prediction_log_rows", "Answered rows that were written to the log.", status.recorded),
        (
            "prediction_log_shed",
            "Answered rows that came faster than they could be written and are not in the log.",
            status.shed,
        ),
        ("prediction_log_starts", "Starts of the recorder.", status.starts),
        ("shadow_rows", "Rows that the arm which did not answer scored as well.", status.compared),
        ("shadow_disagreements", "Rows on which the two arms disagree.", status.disagreed),
    ):
        yield CounterMetricFamily(name, text, value=value)

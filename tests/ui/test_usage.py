from __future__ import annotations

import math

import pytest

from tests.ui.fake_api import DRIFT, METRICS
from ui.api.usage import Usage, quantile

INF = math.inf


def test_totals_are_summed_over_their_labels() -> None:
    usage = Usage.from_metrics(METRICS)
    assert (usage.requests, usage.errors, usage.refused) == (250, 4, 5)
    assert usage.requests_by_version == {"v1": 132, "v2": 118}


def test_latencies_come_from_the_histogram() -> None:
    usage = Usage.from_metrics(METRICS)
    assert usage.latency_p50 == pytest.approx(0.001)
    assert usage.latency_p95 == pytest.approx(0.0019)


@pytest.mark.parametrize(
    ("more", "score"), [("", None), (DRIFT.format("NaN"), None), (DRIFT.format(0.12), 0.12)]
)
def test_a_drift_score_that_is_not_published_is_none(more: str, score: float | None) -> None:
    usage = Usage.from_metrics(METRICS + more)
    assert (usage.drift_score, usage.drift_rows) == (score, 200)


def test_an_api_that_has_just_started_has_used_nothing() -> None:
    assert Usage.from_metrics("") == Usage(0, {}, 0, 0, None, None, None, 0, drift_found=False)


@pytest.mark.parametrize(
    ("share", "buckets", "expected"),
    [
        (0.5, {}, None),
        (0.5, {1.0: 0, INF: 0}, None),
        (0.5, {1.0: 10, INF: 10}, 0.5),
        (0.95, {1.0: 0, 2.0: 100, INF: 100}, 1.95),
        (0.95, {0.1: 95, 0.2: 95, 0.4: 100, INF: 100}, 0.1),
        (0.5, {1.0: 0, 2.0: 0, INF: 8}, 2.0),
        (0.95, {1.0: 9, INF: 10}, 1.0),
    ],
    ids=["no buckets", "empty", "one bucket", "linear", "at an edge", "all beyond", "tail beyond"],
)
def test_a_quantile_is_what_prometheus_would_say(
    share: float, buckets: dict[float, int], expected: float | None
) -> None:
    assert quantile(share, buckets) == (None if expected is None else pytest.approx(expected))

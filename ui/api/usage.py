"""Usage statistics from the text of /metrics. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Usage:
    """Totals since the API started. Latencies are seconds, None before the first prediction."""

    requests: int
    requests_by_version: Mapping[str, int]
    errors: int
    refused: int
    """Requests that were wrong (4xx); they are neither predictions nor errors of a model."""
    latency_p50: float | None
    latency_p95: float | None
    drift_score: float | None
    """None while the window holds fewer rows than a score needs."""
    drift_rows: int
    drift_found: bool
    """What the drift test says; it does not depend on the score."""

    @classmethod
    def from_metrics(cls, text: str) -> Self:
        """Return the statistics; a missing metric counts as 0.

        Raise ValueError, KeyError or OverflowError for a text without such metrics.
        """
        totals: Counter[str] = Counter()
        by_version: Counter[str] = Counter()
        buckets: Counter[float] = Counter()
        gauges: dict[str, float] = {}
        for sample in _samples(text):
            if sample.name == "model_version_requests_total":
                by_version[sample.labels.get("version", "")] += int(sample.value)
            elif sample.name == "prediction_latency_seconds_bucket":
                buckets[float(sample.labels["le"])] += int(sample.value)
            elif sample.name.endswith("_total"):
                totals[sample.name] += int(sample.value)
            else:
                gauges[sample.name] = sample.value
        score = gauges.get("model_drift_score", math.nan)
        return cls(
            requests=totals["prediction_requests_total"],
            requests_by_version=dict(sorted(by_version.items())),
            errors=totals["prediction_errors_total"],
            refused=totals["invalid_requests_total"],
            latency_p50=quantile(0.50, buckets),
            latency_p95=quantile(0.95, buckets),
            drift_score=None if math.isnan(score) else score,
            drift_rows=int(gauges.get("model_drift_window_rows", 0)),
            drift_found=gauges.get("model_drift_detected", 0.0) > 0,
        )


def quantile(share: float, buckets: Mapping[float, int]) -> float | None:
    """Return the value below which `share` of the observations lie, None if there are none.

    `buckets` maps upper edges to cumulative counts. Linear within a bucket, and the last finite edge for
    what lies beyond it: what Prometheus' histogram_quantile does.
    """
    edges = sorted(buckets)
    if not edges or buckets[edges[-1]] == 0:
        return None
    rank = share * buckets[edges[-1]]
    lower_edge, lower_count = 0.0, 0
    for edge in edges:
        count = buckets[edge]
        if count >= rank and count > lower_count:
            if math.isinf(edge):
                break
            return lower_edge + (edge - lower_edge) * (rank - lower_count) / (count - lower_count)
        if not math.isinf(edge):
            lower_edge, lower_count = edge, count
    return lower_edge


def _samples(text: str) -> Iterable[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples

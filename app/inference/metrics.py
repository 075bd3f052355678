"""GET /metrics: counters summed over all workers, and gauges computed at the scrape."""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from app.errors import Reason
from app.shm.counters import Counters, Key, totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from prometheus_client import Metric

# Predictions take fractions of a millisecond; the alert's threshold of 1 second is an edge.
BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTERS = {
    "model_version_requests": (
        "Predictions by model version; each row of a batch is one.",
        ["version"],
    ),
    "prediction_class": ("Answers by model version and class.", ["version", "class_name"]),
    "invalid_requests": ("Invalid or refused requests; they are no predictions.", ["reason"]),
    "synthetic_predictions": ("Predictions marked as synthetic: in no drift window and no experiment.", []),
    "prediction_errors": ("Predictions that failed (5xx).", []),
    "prediction_requests_shed": ("Connections refused or dropped for lack of room.", []),
}
LATENCY = "prediction_latency_seconds"


class Metrics:
    """The counters of one worker, and the scrape of all. Every label value exists at 0 from the start.

    prediction_requests_total is the sum of model_version_requests_total at the scrape, so that the two agree in every
    scrape, also while other workers count.
    """

    def __init__(
        self,
        directory: Path,
        *,
        versions: Sequence[str],
        classes: Sequence[str],
        gauges: Callable[[], Iterable[Metric]],
        registry: CollectorRegistry | None = None,
    ) -> None:
        """directory: of all workers' counters. gauges: computed at the scrape. registry: further collectors."""
        self._directory = directory
        self._versions = list(versions)
        self._gauges = gauges
        self._registry = registry
        # The event loop counts predictions, the application's threads count refusals.
        self._lock = threading.Lock()
        self._open(classes)

    def use_classes(self, classes: Sequence[str]) -> None:
        """Count predictions of these classes from now on; earlier counts stay."""
        with self._lock:
            self._counters.close()
            self._open(classes)

    def answered(self, version: str, classes: Sequence[int], seconds: float, *, synthetic: bool) -> None:
        """Count one answered request. classes: the class index of each of its rows."""
        cells = self._cells
        by_class = self._answers[version]
        with self._lock:
            cells[self._requests[version]] += len(classes)
            for index in classes:
                cells[by_class + index] += 1
            cells[self._latency + bisect_left(BUCKETS, seconds)] += 1
            cells[self._latency_sum] += seconds
            if synthetic:
                cells[self._synthetic] += len(classes)

    def failed(self, version: str | None, rows: int, seconds: float) -> None:
        """Count a request that ended in a 5xx; version: None where no model was available."""
        cells = self._cells
        with self._lock:
            # The error first: a scrape in between may see one too many, and never misses one.
            cells[self._errors] += rows
            if version is not None:
                cells[self._requests[version]] += rows
                cells[self._latency + bisect_left(BUCKETS, seconds)] += 1
                cells[self._latency_sum] += seconds

    def refused(self, reason: Reason) -> None:
        """Count an invalid or refused request."""
        with self._lock:
            self._cells[self._invalid[reason]] += 1

    def shed(self) -> None:
        """Count a connection that was refused or dropped for lack of room."""
        with self._lock:
            self._cells[self._shed] += 1

    def render(self) -> bytes:
        """Return the body of GET /metrics: exact totals over all workers."""
        return generate_latest(_Scrape(totals(self._directory), self._gauges, self._registry))

    def _open(self, classes: Sequence[str]) -> None:
        keys: list[Key] = [("model_version_requests", version) for version in self._versions]
        keys += [("prediction_class", version, name) for version in self._versions for name in classes]
        keys += [("invalid_requests", reason) for reason in get_args(Reason)]
        keys += [("synthetic_predictions",), ("prediction_errors",), ("prediction_requests_shed",)]
        keys += [(LATENCY, str(edge)) for edge in (*BUCKETS, "+Inf")]
        keys += [(LATENCY, "sum")]
        self._counters = Counters(self._directory, keys)
        self._cells = self._counters.cells
        index = self._counters.index
        self._requests = {version: index["model_version_requests", version] for version in self._versions}
        # The cells of a version's classes are adjacent.
        self._answers = {
            version: index["prediction_class", version, classes[0]] if classes else 0
            for version in self._versions
        }
        self._invalid = {reason: index["invalid_requests", reason] for reason in get_args(Reason)}
        self._synthetic = index["synthetic_predictions",]
        self._errors = index["prediction_errors",]
        self._shed = index["prediction_requests_shed",]
        self._latency = index[LATENCY, str(BUCKETS[0])]
        self._latency_sum = index[LATENCY, "sum"]


class _Scrape(Collector):
    def __init__(
        self,
        counted: dict[Key, float],
        gauges: Callable[[], Iterable[Metric]],
        registry: CollectorRegistry | None,
    ) -> None:
        self._counted = counted
        self._gauges = gauges
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "prediction_requests",
            "Predictions of all model versions; each row of a batch is one.",
            value=sum(value for key, value in self._counted.items() if key[0] == "model_version_requests"),
        )
        for name, (text, labels) in COUNTERS.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for key, value in self._counted.items():
                if key[0] == name:
                    family.add_metric(key[1:], value)
            yield family
        yield self._latency()
        yield from self._gauges()
        if self._registry is not None:
            yield from self._registry.collect()

    def _latency(self) -> HistogramMetricFamily:
        edges = [str(edge) for edge in (*BUCKETS, "+Inf")]
        counts = accumulate(self._counted[LATENCY, edge] for edge in edges)
        return HistogramMetricFamily(
            LATENCY,
            "Time from the request's body to the answer's, for predictions.",
            buckets=list(zip(edges, counts, strict=True)),
            sum_value=self._counted[LATENCY, "sum"],
        )

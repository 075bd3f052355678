"""What GET /metrics shows: counters of this process, or of all workers together."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from prometheus_client import Metric

# Answers take fractions of a millisecond; the alert looks at 1 second, so an edge stands exactly there.
BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The service's counters. Every label value exists at 0 from the start.

    prediction_requests_total is not counted on its own: it is the sum of model_version_requests_total at the moment of
    the scrape, so that the two agree in every scrape, also while other workers count.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        versions: Sequence[str],
        classes: Sequence[str],
        state: Callable[[], Iterable[Metric]],
        shared_dir: Path | None = None,
    ) -> None:
        """state: gauges that are worked out at the scrape.

        shared_dir: where prometheus_client keeps the counters of all workers; None for a single process.
        """
        requests = Counter(
            "model_version_requests",
            "Predictions asked of each model version.",
            ["version"],
            registry=registry,
        )
        answers = Counter(
            "prediction_class",
            "Answers by model version and class.",
            ["version", "class_name"],
            registry=registry,
        )
        invalid = Counter(
            "invalid_requests",
            "Requests refused as the client's fault; not predictions.",
            ["reason"],
            registry=registry,
        )
        self._latency = Histogram(
            "prediction_latency_seconds",
            "Time from the request's body to the answer's, for predictions.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "prediction_errors", "Predictions that failed on our side (5xx).", registry=registry
        )
        self._requests = {version: requests.labels(version) for version in versions}
        self._answers = {version: [answers.labels(version, name) for name in classes] for version in versions}
        self._invalid = {reason: invalid.labels(reason) for reason in get_args(Reason)}
        self._registry = registry
        self._state = state
        self._shared_dir = shared_dir

    def answered(self, version: str, class_index: int, seconds: float) -> None:
        """Count a prediction that was answered."""
        self._requests[version].inc()
        self._answers[version][class_index].inc()
        self._latency.observe(seconds)

    def failed(self, version: str | None, seconds: float) -> None:
        """Count a prediction that ended in a 5xx; version is None when no model was there to be asked."""
        # The error first: a scrape in between may then see one too many, and never misses one.
        self._errors.inc()
        if version is not None:
            self._requests[version].inc()
            self._latency.observe(seconds)

    def refused(self, reason: Reason) -> None:
        """Count a request that was the client's fault."""
        self._invalid[reason].inc()

    def render(self) -> bytes:
        """The text of GET /metrics: exact totals over all workers at this moment."""
        return generate_latest(_Scrape(self._counters(), self._state))

    def _counters(self) -> Collector:
        if self._shared_dir is None:
            return self._registry
        # The collector registers itself with what it is given; nothing else may be in there.
        return MultiProcessCollector(CollectorRegistry(), str(self._shared_dir))  # type: ignore[no-untyped-call]


class _Scrape(Collector):
    def __init__(self, counters: Collector, state: Callable[[], Iterable[Metric]]) -> None:
        self._source = counters
        self._state = state

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            if metric.name == "model_version_requests":
                yield CounterMetricFamily(
                    "prediction_requests",
                    "Predictions asked of any model version.",
                    value=sum(sample.value for sample in metric.samples if sample.name.endswith("_total")),
                )
            yield metric
        yield from self._state()

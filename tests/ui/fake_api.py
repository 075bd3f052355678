"""A prediction API on a loopback port that answers what a test puts into it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

METRICS = """\
# HELP prediction_requests_total Total prediction requests
# TYPE prediction_requests_total counter
prediction_requests_total 250.0
# TYPE model_version_requests_total counter
model_version_requests_total{version="v1"} 132.0
model_version_requests_total{version="v2"} 118.0
# TYPE prediction_errors_total counter
prediction_errors_total 4.0
# TYPE invalid_requests_total counter
invalid_requests_total{reason="wrong_type"} 3.0
invalid_requests_total{reason="malformed_json"} 2.0
# TYPE prediction_latency_seconds histogram
prediction_latency_seconds_bucket{le="0.001"} 125.0
prediction_latency_seconds_bucket{le="0.002"} 250.0
prediction_latency_seconds_bucket{le="1.0"} 250.0
prediction_latency_seconds_bucket{le="+Inf"} 250.0
prediction_latency_seconds_count 250.0
prediction_latency_seconds_sum 0.3
# TYPE model_drift_window_rows gauge
model_drift_window_rows 200.0
"""
DRIFT = "# TYPE model_drift_score gauge\nmodel_drift_score {}\n"


def arm(**changes: Any) -> dict[str, Any]:
    """One entry of /config's models."""
    return {
        "up": True,
        "sha256": "ab12cd34ef56" + "0" * 52,
        "algorithm": "RandomForestClassifier",
        "params": {"n_estimators": 50, "max_depth": 5},
        "metrics": {"accuracy": 0.9333},
        "reason": None,
    } | changes


def feature(name: str, low: float, high: float, mean: float) -> dict[str, Any]:
    """One entry of /config's features."""
    return {"name": name, "min": low, "max": high, "mean": mean, "std": 0.8}


def config(**changes: Any) -> dict[str, Any]:
    """What GET /config answers."""
    return {
        "weights": {"v1": 70, "v2": 30},
        "split": {"v1": 0.7, "v2": 0.3},
        "models": {"v1": arm(), "v2": arm(params={"n_estimators": 100, "max_depth": 7})},
        "features": [feature("height", 1.0, 3.0, 2.04), feature("width_mm", 10.0, 90.0, 41.7)],
        "classes": ["ok", "worn", "broken"],
        "service_digest": "0f1e2d3c4b5a" + "0" * 52,
        "drift": {"threshold": 0.3, "window": 200, "minimum": 30},
    } | changes


def prediction(**changes: Any) -> dict[str, Any]:
    """What POST /predict answers."""
    return {
        "prediction": 1,
        "class": "worn",
        "probabilities": {"ok": 0.02, "worn": 0.9, "broken": 0.08},
        "model_version": "v2",
        "prediction_id": "p-1",
        "reason": "split",
    } | changes


def drift(**changes: Any) -> dict[str, Any]:
    """What GET /drift answers."""
    return {
        "status": "steady",
        "rows": 200,
        "minimum": 50,
        "window": 200,
        "score": 0.12,
        "score_threshold": 0.3,
        "false_alarm_rate": 0.006,
        "features": [
            distance("height", 0.05, mean=2.1, training_mean=2.04),
            distance("width_mm", 0.15, mean=41.0, training_mean=41.7),
        ],
        "classes": [
            distance(name, 0.02, share=0.3, expected_share=0.32) for name in ("ok", "worn", "broken")
        ],
        "joint": {"distance": 0.1, "limit": 0.2, "drifted": False},
    } | changes


def distance(name: str, value: float, *, limit: float = 0.2, **others: float) -> dict[str, Any]:
    """One feature or class of /drift."""
    return {"name": name, "distance": value, "limit": limit, "drifted": value > limit} | others


def experiment(**changes: Any) -> dict[str, Any]:
    """What GET /experiment answers."""
    arm = {"answered": 120, "errors": 1, "latency_p50": 0.0002, "latency_p95": 0.001, "latency_p99": 0.002}
    labels = {"both_right": 4, "only_v1": 1, "only_v2": 2, "both_wrong": 0}
    return {
        "verdict": "collecting",
        "reason": "of 3 labelled rows on which exactly one model was right, v1 was right on 1 and v2 on 2",
        "since": "2026-01-02T03:04:05Z",
        "arms": {"v1": arm, "v2": arm},
        "compared": 240,
        "disagreement_rate": 0.1,
        "labelled": labels,
        "labelled_after": {"v1": labels, "v2": dict.fromkeys(labels, 0)},
        "superiority": {
            "v1_right_alone": 1,
            "v2_right_alone": 2,
            "evidence_v1": 0.5,
            "evidence_v2": 1.2,
            "needed": 40.0,
            "alpha": 0.05,
        },
        "sample_ratio": {"checked": 240, "evidence": 0.1, "alpha": 0.001, "broken": False},
    } | changes


def logged(number: int, **changes: Any) -> dict[str, Any]:
    """One row of GET /predictions."""
    return {
        "prediction_id": f"{number:032x}",
        "time": "2026-01-02T03:04:05Z",
        "model_version": "v2",
        "reason": "split",
        "synthetic": False,
        "latency_seconds": 0.00021,
        "class": "worn",
        "other_class": "worn",
        "label": None,
        "features": {"height": 2.5, "width_mm": 42.0},
    } | changes


class FakeApi:
    """Answers by path, as (status, content type, body); `rows` and `headers` are what was posted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.rows: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self.say("/config", config())
        self.say("/predict", prediction())
        self.say("/drift", drift())
        self.say("/experiment", experiment())
        self.say("/predictions", {"predictions": [logged(2, other_class="ok"), logged(1)]})
        self.say("/feedback", {"prediction_id": "p", "label": "ok", "recorded": "new"})
        self.say("/metrics", METRICS + DRIFT.format(0.12), content_type="text/plain")

    def say(
        self, path: str, body: object, *, status: int = 200, content_type: str = "application/json"
    ) -> None:
        """From now on answer `path` with this: bytes and text as they are, anything else as JSON."""
        if isinstance(body, str):
            body = body.encode()
        self.answers[path] = (
            status,
            content_type,
            body if isinstance(body, bytes) else json.dumps(body).encode(),
        )

    def refuse(self, path: str, status: int, detail: str, **members: str) -> None:
        """From now on answer `path` with a problem."""
        problem = {"title": "Problem", "status": status, "detail": detail} | members
        self.say(path, problem, status=status, content_type="application/problem+json")


@contextmanager
def serving() -> Iterator[FakeApi]:
    """The fake API on a free loopback port, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content_type, body = api.answers[self.path.partition("?")[0]]
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if status in {301, 302}:
                self.send_header("Location", "/metrics")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            api.headers.append(dict(self.headers))
            api.rows.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = FakeApi(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()

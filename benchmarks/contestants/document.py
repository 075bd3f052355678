"""The baseline: Flask's development server, scikit-learn on each request, prometheus_client. PORT"""

from __future__ import annotations

import random
import sys
import time

import numpy as np
from flask import Flask, Response, jsonify, request
from prometheus_client import Counter, Histogram, generate_latest
from sklearn.ensemble import RandomForestClassifier

from app.training.data import iris
from app.training.forests import FORESTS

data = iris()
models = {
    version: RandomForestClassifier(**params, n_jobs=1).fit(
        data.rows[data.training], data.labels[data.training]
    )
    for version, params in FORESTS.items()
}
requests_total = Counter("prediction_requests_total", "Predictions")
by_version = Counter("model_version_requests_total", "Predictions by version", ["version"])
latency = Histogram("prediction_latency_seconds", "Latency")
app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    began = time.perf_counter()
    version = "v1" if random.randint(1, 100) <= 50 else "v2"  # noqa: S311 - a traffic split
    row = np.array([request.get_json()["features"]])
    prediction = int(models[version].predict(row)[0])
    requests_total.inc()
    by_version.labels(version).inc()
    latency.observe(time.perf_counter() - began)
    return jsonify({"prediction": prediction, "model_version": version})


@app.get("/metrics")
def metrics() -> bytes:
    return generate_latest()


if __name__ == "__main__":
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(host="127.0.0.1", port=int(sys.argv[1]))

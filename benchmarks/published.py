"""POST /predict of a stack that is up, through the port that its host publishes: BENCH_URL=http://HOST:5000."""

from __future__ import annotations

import os

from benchmarks.load import drive
from benchmarks.serve import CONNECTIONS, SECONDS


def main() -> None:
    """requests a second and latency of a stack that is up (BENCH_URL), from here to its public port"""
    from app.training.data import iris

    url = os.environ.get("BENCH_URL")
    if not url:
        raise SystemExit("BENCH_URL is not set: give the api_url of a stack that serves Iris")
    rows = [[round(float(value), 2) for value in row] for row in iris().rows[::7]]
    print(
        "| connections | requests/s | p50 ms | p95 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- | --- |"
    )
    for connections in CONNECTIONS:
        drive(f"{url}/predict", connections, 1, rows, None)
        figures = drive(f"{url}/predict", connections, SECONDS, rows, None)
        print(
            f"| {connections} | {figures.rate:.0f} | {figures.p50:.2f} | {figures.p95:.2f} | {figures.p99:.2f} "
            f"| {figures.errors} |",
            flush=True,
        )

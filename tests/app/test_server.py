"""The real process: four workers, exact totals, one owner of its state, a clean end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.processes import START_SECONDS, children, free_port, get, server, wait_until_ready

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

CONNECTIONS = 8
EACH = 50


def scrape(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(get(port, "/metrics")[1]):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def predict_many(port: int, count: int, statuses: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(count):
        body = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]})
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()


def test_four_workers_give_exact_totals_in_every_scrape(root: Path, trained: Path, tmp_path: Path) -> None:
    port = free_port()
    with server(root, port, trained, tmp_path / "state") as process:
        wait_until_ready(port, process)
        before = scrape(port)
        assert before["prediction_requests_total"] == {(): 0}
        assert before["model_version_requests_total"] == {("v1",): 0, ("v2",): 0}
        statuses: list[int] = []
        clients = [
            threading.Thread(target=predict_many, args=(port, EACH, statuses)) for _ in range(CONNECTIONS)
        ]
        for client in clients:
            client.start()
        totals = []
        while any(client.is_alive() for client in clients):
            found = scrape(port)
            totals.append(found["prediction_requests_total"][()])
            assert totals[-1] == sum(found["model_version_requests_total"].values())
        assert statuses == [200] * (CONNECTIONS * EACH)
        assert totals == sorted(totals)
        for _ in range(16):
            found = scrape(port)
            assert found["prediction_requests_total"] == {(): 400}
            assert sum(found["model_version_requests_total"].values()) == 400
            assert sum(found["prediction_class_total"].values()) == 400
            assert found["prediction_latency_seconds_count"] == {(): 400}
            assert found["prediction_errors_total"] == {(): 0}
            assert found["model_drift_window_rows"] == {(): 200}
            assert 0 <= found["model_drift_score"][()] <= 1
        process.terminate()
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        lines = [json.loads(line) for line in output.splitlines()]
        assert lines[-1]["message"] == "stopped"
        # Starts and stops only: nothing is logged per request.
        assert len(lines) < 40


def test_a_worker_that_is_killed_is_replaced_and_its_counts_stay(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    port = free_port()
    with server(root, port, trained, tmp_path / "state", API_WORKERS="2") as process:
        wait_until_ready(port, process)
        statuses: list[int] = []
        for _ in range(8):
            predict_many(port, 5, statuses)
        # The recorder is started last.
        *workers, _ = children(process.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        while len(set(children(process.pid)) - {workers[0]}) < 3:
            assert time.monotonic() < deadline, "the killed worker was not replaced"
            time.sleep(0.05)
        wait_until_ready(port, process)
        found = scrape(port)
        assert found["prediction_requests_total"] == {(): 40}
        assert found["model_drift_window_rows"] == {(): 40}


def test_a_second_server_is_refused_by_state_and_by_port(root: Path, trained: Path, tmp_path: Path) -> None:
    port = free_port()
    with server(root, port, trained, tmp_path / "state", API_WORKERS="1") as first:
        wait_until_ready(port, first)
        with server(root, free_port(), trained, tmp_path / "state") as second:
            output, _ = second.communicate(timeout=30)
            assert second.returncode == 1
            assert "another server uses" in output
        with server(root, port, trained, tmp_path / "other") as third:
            output, _ = third.communicate(timeout=30)
            assert third.returncode == 1
            assert f"port {port} cannot be used" in output
        assert get(port, "/ready")[0] == 200


def test_a_wrong_setting_ends_the_start_with_one_line(root: Path, trained: Path, tmp_path: Path) -> None:
    with server(root, free_port(), trained, tmp_path / "state", MODEL_V1_WEIGHT="0.5") as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    (line,) = output.splitlines()
    assert "MODEL_V1_WEIGHT must be a whole number from 0 to 100" in json.loads(line)["message"]


def test_the_healthcheck_says_what_ready_says(
    root: Path, trained: Path, artifacts: Path, tmp_path: Path
) -> None:
    port = free_port()
    check = [sys.executable, "-m", "app.runtime.healthcheck"]
    environ = {"API_PORT": str(port)}
    down = subprocess.run(check, cwd=root, env=environ, capture_output=True, text=True, check=False)
    assert (down.returncode, down.stdout[:9]) == (1, "no answer")
    with server(root, port, trained, tmp_path / "state", API_WORKERS="1") as process:
        wait_until_ready(port, process)
        up = subprocess.run(check, cwd=root, env=environ, capture_output=True, text=True, check=False)
    assert (up.returncode, up.stdout[:3]) == (0, "200")

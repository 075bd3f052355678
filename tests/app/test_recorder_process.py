"""The recorder beside a real server: after a crash it restarts, no row is lost and no request waits."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from app.experiment.log_store import FILE
from app.runtime.supervisor import Child, Supervisor
from tests.app.processes import START_SECONDS, children, free_port, get, server, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.process

GOOD = {"features": [5.1, 3.5, 1.4, 0.2]}


def predict(port: int, count: int) -> list[str]:
    """The ids of so many answers, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    found = []
    with closing(connection):
        for _ in range(count):
            connection.request("POST", "/predict", json.dumps(GOOD), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body: dict[str, Any] = json.loads(response.read())
            assert response.status == 200
            found.append(body["prediction_id"])
    return found


def eventually(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not found():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def gauge(port: int, name: str) -> float:
    lines = get(port, "/metrics")[1].splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def test_a_recorder_that_dies_touches_no_answer_and_loses_nothing(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    port = free_port()
    with server(root, port, trained, tmp_path / "state", API_WORKERS="2") as process:
        wait_until_ready(port, process)
        eventually(lambda: gauge(port, "prediction_log_up") == 1)
        ids = predict(port, 50)
        eventually(lambda: gauge(port, "prediction_log_rows_total") == 50)
        *workers, recorder = children(process.pid)
        assert len(workers) == 2
        os.kill(recorder, signal.SIGKILL)
        ids += predict(port, 50)
        eventually(lambda: gauge(port, "prediction_log_rows_total") == 100)
        assert gauge(port, "prediction_log_starts_total") == 2
        assert gauge(port, "prediction_log_up") == 1
        assert set(workers) < set(children(process.pid))
        # What is answered right before the end is written, too.
        ids += predict(port, 20)
    with closing(sqlite3.connect(tmp_path / "state" / "data" / FILE)) as log:
        kept = [bytes(name).hex() for (name,) in log.execute("SELECT id FROM predictions ORDER BY n")]
    assert sorted(kept) == sorted(ids)
    print(f"{len(ids)} answers, the recorder killed in between: {len(kept)} in the log, each once")


def test_a_recorder_that_cannot_write_leaves_the_service_up_and_is_seen(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE).mkdir()
    port = free_port()
    with server(
        root, port, trained, tmp_path / "state", API_WORKERS="1", ONEBOX_DATA_DIR=str(tmp_path / "data")
    ) as process:
        wait_until_ready(port, process)
        recorders: set[int] = set()
        deadline = time.monotonic() + START_SECONDS
        # The recorder is the last child; it dies at every start.
        while len(recorders) < 4:
            assert time.monotonic() < deadline, "the recorder is not started again"
            predict(port, 5)
            recorders.add(children(process.pid)[-1])
        assert gauge(port, "prediction_log_up") == 0
        assert process.poll() is None


def test_a_child_that_is_not_vital_is_started_again_for_ever_and_ends_last(tmp_path: Path) -> None:
    def note(file: str, word: str) -> None:
        with (tmp_path / file).open("a") as notes:
            notes.write(word)

    def until_told(word: str) -> int:
        signal.signal(signal.SIGTERM, lambda *_: note("ends", word))
        signal.pause()
        return 0

    def failing() -> int:
        note("starts", "x")
        return 1

    pid = os.fork()
    if pid == 0:
        kept = [
            Child("vital", partial(until_told, "vital ")),
            Child("failing", failing, vital=False),
            Child("lasting", partial(until_told, "other "), vital=False),
        ]
        os._exit(0 if Supervisor(kept, stop_seconds=5).run() else 1)
    starts = tmp_path / "starts"
    eventually(lambda: starts.exists() and len(starts.read_text()) >= 3)
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (tmp_path / "ends").read_text() == "vital other "

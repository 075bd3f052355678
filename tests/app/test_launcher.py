"""Reload of the API's code: the real launcher, with copies of the service's own code."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest

from tests.app.launched import PREDICTION, Load, Service, line, wait_for
from tests.app.processes import children, get

pytestmark = pytest.mark.process


@pytest.fixture
def service(root: Path, trained: Path, tmp_path: Path) -> Service:
    return Service(root, tmp_path, trained)


def test_a_reload_under_load_loses_no_request_and_counters_continue(service: Service) -> None:
    with service.running():
        seen = {service.ready().serving}
        with Load(service.port).running() as load:
            for turn in range(5):
                service.put(line(f"# turn {turn}"))
                service.hang_up()
                wait_for(lambda: service.serving not in seen, "the new code serves")
                seen.add(service.serving)
                wait_for(lambda: service.codes() == [service.serving] * 2, "only its workers take part")
                before = load.answered
                wait_for(partial(lambda least: load.answered > least, before + 200), "the load goes on")
        assert load.failed == []
        assert len(seen) == 6
        print(f"{load.answered} requests over 5 changes of the code, 0 failed")
        counted = dict(
            line.split(" ") for line in get(service.port, "/metrics")[1].splitlines() if line.count(" ") == 1
        )
        # Two workers of five generations have asked themselves for a row of each of two models.
        assert float(counted["synthetic_predictions_total"]) == 20
        assert float(counted["prediction_requests_total"]) == load.answered + 20
        wait_for(lambda: len(children(service.pid)) == 1, "the generations before have ended")
    assert service.process is not None
    assert service.process.returncode == 0


def test_a_reload_works_with_keys_and_trusted_hosts(service: Service, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'key').hexdigest()}\n")
    settings = {"ONEBOX_API_KEYS_FILE": str(keys), "API_TRUSTED_HOSTS": "127.0.0.1", "API_WORKERS": "1"}
    with service.running(**settings):
        wait_for(lambda: service.answers("/ready"), "it is ready")
        service.put(line("# new"))
        service.hang_up()
        wait_for(
            lambda: any("is active" in entry.get("message", "") for entry in service.said),
            "it takes over",
        )


def test_the_same_code_reloads_its_models_in_the_same_processes(service: Service) -> None:
    with service.running():
        service.ready()
        processes = [children(pid) for pid in children(service.pid)]
        since = [worker["since"] for worker in service.config()["workers"]]
        # The registry has whole seconds.
        wait_for(
            lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) not in since, "it is another second"
        )
        service.hang_up()
        wait_for(
            lambda: all(worker["since"] not in since for worker in service.config()["workers"]),
            "both workers have looked at the models",
        )
        assert [children(pid) for pid in children(service.pid)] == processes


def test_code_that_comes_while_other_code_starts_is_activated_after_it(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        service.put(line("import time\ntime.sleep(1)"))
        service.hang_up()
        wait_for(lambda: len(children(service.pid)) == 2, "it starts")
        service.put(line("# the last"))
        service.hang_up()
        wait_for(lambda: service.serving != before, "the first of them serves")
        first = service.serving
        wait_for(lambda: service.serving != first, "the last of them serves")
        assert service.refused is None


def test_a_request_in_hand_is_finished_by_the_generation_that_accepted_it(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        with socket.create_connection(("127.0.0.1", service.port)) as half:
            head = (
                "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(PREDICTION)}"
            )
            half.sendall(f"{head}\r\n\r\n{PREDICTION[:10]}".encode())
            wait_for(lambda: service.has_read(half), "a worker has the first half")
            service.put(line("# new"))
            service.hang_up()
            wait_for(lambda: service.serving != before, "the new code serves")
            wait_for(lambda: service.codes() == [service.serving], "the previous generation drains")
            half.sendall(PREDICTION[10:].encode())
            answer = half.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer


def test_no_process_is_left_of_a_launcher_that_is_killed(service: Service) -> None:
    with service.running():
        service.ready()
        (generation,) = children(service.pid)
        everything = [generation, *children(generation)]
        os.kill(service.pid, signal.SIGKILL)
        wait_for(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in everything), "all of them have ended"
        )

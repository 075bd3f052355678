"""New code takes over from old code: the real launcher, with copies of the service's own code."""

from __future__ import annotations

import ast
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.launcher.preload import MODULES
from tests.app.processes import children, free_port, get, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.process

PATIENCE_SECONDS = 30.0
PREDICTION = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]})


class Service:
    """A launcher whose code lies in a directory that a test changes as a push does."""

    def __init__(self, root: Path, place: Path, models: Path) -> None:
        self._root = root
        self._place = place
        self.models = place / "models"
        self.log = place / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        shutil.copytree(models, self.models)
        self._number = 0
        self._link = place / "code"
        self.put(as_it_is)

    def put(self, change: Callable[[Path], None]) -> Path:
        """The repo's code, changed, where the launcher looks for code."""
        self._number += 1
        code = self._place / f"code-{self._number}"
        shutil.copytree(
            self._root / "app", code, ignore=shutil.ignore_patterns("__pycache__", "artifacts", "training")
        )
        change(code)
        new = self._place / "new"
        new.symlink_to(code.name)
        new.replace(self._link)
        return code

    def hang_up(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(self.port, "/config")[1])
        return found

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def serving(self) -> str:
        return str(self.config()["code"]["serving"])

    @property
    def refused(self) -> Any:
        return self.config()["code"]["refused"]

    def answers(self, path: str) -> bool:
        try:
            return get(self.port, path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def codes(self) -> list[str]:
        """What the workers run that take connections."""
        return [worker["code"] for worker in self.config()["workers"]]

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    @contextmanager
    def running(self, **more: str) -> Iterator[Service]:
        environ = {
            "PATH": os.environ["PATH"],
            "API_PORT": str(self.port),
            "API_WORKERS": "2",
            "ONEBOX_CODE_DIR": str(self._link),
            "ONEBOX_MODELS_DIR": str(self.models),
            "ONEBOX_STATE_DIR": str(self._place / "state"),
            **more,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.launcher"], cwd=self._root, env=environ, stdout=log, stderr=log
            )
        try:
            yield self
        finally:
            self.process.terminate()
            self.process.wait(30)

    def ready(self) -> Service:
        assert self.process is not None
        wait_until_ready(self.port, self.process)  # type: ignore[arg-type]
        return self


@pytest.fixture
def service(root: Path, trained: Path, tmp_path: Path) -> Service:
    return Service(root, tmp_path, trained)


def line(text: str) -> Callable[[Path], None]:
    """Code with one more line in it."""
    return lambda code: _append(code / "routes.py", text)


def as_it_is(_code: Path) -> None:
    """The repo's code."""


def _append(file: Path, text: str) -> None:
    file.write_text(f"{file.read_text()}\n{text}\n")


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.02)


class Load:
    """Clients that keep asking, half of them on a connection of its own for each request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._counting = threading.Lock()
        self.answered = 0
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(bool(n % 2),)) for n in range(6)]

    @contextmanager
    def going_on(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(30)

    def _ask(self, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._over.is_set():
            try:
                connection.request("POST", "/predict", PREDICTION, {"Content-Type": "application/json"})
                with connection.getresponse() as response:
                    response.read()
                with self._counting:
                    self.answered += 1
                    self.failed += [f"status {response.status}"] * (response.status != 200)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            if not keep:
                connection.close()
        connection.close()


def test_new_code_takes_over_under_load_without_a_lost_request_and_counters_go_on(service: Service) -> None:
    with service.running():
        seen = {service.ready().serving}
        with Load(service.port).going_on() as load:
            for turn in range(5):
                service.put(line(f"# turn {turn}"))
                service.hang_up()
                wait_for(lambda: service.serving not in seen, "the new code serves")
                seen.add(service.serving)
                wait_for(lambda: service.codes() == [service.serving] * 2, "only its workers take part")
                before = load.answered
                wait_for(lambda before=before: load.answered > before + 200, "the load goes on")
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


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "is not Python": (line("def broken(:"), "routes.py, line "),
    "raises when it is loaded": (line('raise RuntimeError("on purpose")'), "RuntimeError: on purpose"),
    "leaves when it is loaded": (line("raise SystemExit(3)"), "SystemExit: 3"),
    "imports what is not there": (line("import no_such_package"), "No module named 'no_such_package'"),
    "imports a module of its own that is not there": (line("import app.gone"), "No module named 'app.gone'"),
    "has no server": (lambda code: (code / "server.py").unlink(), "No module named 'app.server'"),
    "dies without a word": (line("import os\nos._exit(7)"), "it ended with status 7"),
    "answers nonsense": (
        lambda code: _append(
            code / "front.py",
            "def _wrong(self, connection, request, answer):\n"
            "    self._answer(connection, request, 200, 'application/json', b'{}')\n"
            "Front._send = _wrong",
        ),
        "POST /predict of the canary row of v1 answers 200: b'{}'",
    ),
    "answers with the other class": (
        lambda code: _append(
            code / "models.py",
            "Arm._scored_before = Arm._scored\n"
            "Arm._scored = lambda self, votes: Arm._scored_before(self, votes[::-1])\n"
            "Arm.check = lambda self: None",
        ),
        "POST /predict of the canary row of v1 answers 200",
    ),
    "never answers": (
        lambda code: _append(code / "front.py", "Front._send = lambda *_: None"),
        "it does not answer as it should: TimeoutError",
    ),
    "has workers that fail": (
        lambda code: _append(
            code / "factory.py", "def build_worker(*_, **__):\n    raise OSError('no worker')"
        ),
        "OSError: no worker",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_code_that_does_not_come_to_serve_is_refused_by_name_and_the_old_goes_on(
    service: Service, kind: str
) -> None:
    change, why = BROKEN[kind]
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        with Load(service.port).going_on() as load:
            service.put(change)
            service.hang_up()
            wait_for(lambda: service.refused is not None, "the refusal is told")
        refused = service.refused
        assert refused is not None
        assert why in refused["why"]
        assert refused["code"] not in ("", before)
        assert (service.serving, load.failed) == (before, [])
        assert service.codes() == [before]
        wait_for(lambda: len(children(service.pid)) == 1, "nothing of it is left")
        service.put(as_it_is)
        service.hang_up()
        wait_for(lambda: service.refused is None, "the code that serves is put back")
        service.put(line("# mended"))
        service.hang_up()
        wait_for(lambda: service.serving != before, "mended code takes over")


def test_code_that_hangs_is_refused_when_its_time_is_over(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        service.put(line("import time\ntime.sleep(600)"))
        service.hang_up()
        wait_for(lambda: service.refused is not None, "the refusal is told")
        assert service.refused["why"] == "it did not serve within 15 s"
        assert service.serving == before


def test_code_behind_keys_and_a_list_of_hosts_takes_over_as_well(service: Service, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'key').hexdigest()}\n")
    settings = {"ONEBOX_API_KEYS_FILE": str(keys), "API_TRUSTED_HOSTS": "127.0.0.1", "API_WORKERS": "1"}
    with service.running(**settings):
        wait_for(lambda: service.answers("/ready"), "it is ready")
        service.put(line("# new"))
        service.hang_up()
        wait_for(lambda: any("has taken over" in entry.get("message", "") for entry in service.said), "it takes over")


def test_code_under_which_a_model_would_be_off_is_refused(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        (service.models / "model_v2.onnx").write_bytes(b"spoiled")
        service.put(line("# new"))
        service.hang_up()
        wait_for(lambda: service.refused is not None, "the refusal is told")
        assert "model v2 would be off" in service.refused["why"]
        assert (service.serving, get(service.port, "/ready")[0]) == (before, 200)


def test_the_same_code_reads_its_models_anew_in_the_same_processes(service: Service) -> None:
    with service.running():
        service.ready()
        processes = [children(pid) for pid in children(service.pid)]
        since = [worker["since"] for worker in service.config()["workers"]]
        time.sleep(1.1)
        service.hang_up()
        wait_for(
            lambda: all(worker["since"] not in since for worker in service.config()["workers"]),
            "both workers have looked at the models",
        )
        assert [children(pid) for pid in children(service.pid)] == processes


def test_code_that_comes_while_other_code_is_on_its_way_takes_over_after_it(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        service.put(line("import time\ntime.sleep(1)"))
        service.hang_up()
        wait_for(lambda: len(children(service.pid)) == 2, "it is on its way")
        service.put(line("# the last"))
        service.hang_up()
        wait_for(lambda: service.serving != before, "the first of them serves")
        first = service.serving
        wait_for(lambda: service.serving != first, "the last of them serves")
        assert service.refused is None


def test_answers_in_hand_are_finished_by_the_code_that_took_the_request(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        with socket.create_connection(("127.0.0.1", service.port)) as half:
            head = (
                "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(PREDICTION)}"
            )
            half.sendall(f"{head}\r\n\r\n{PREDICTION[:10]}".encode())
            time.sleep(0.2)
            service.put(line("# new"))
            service.hang_up()
            wait_for(lambda: service.serving != before, "the new code serves")
            half.sendall(PREDICTION[10:].encode())
            answer = half.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer


def test_code_that_cannot_run_at_the_start_ends_the_launcher_with_a_sentence(service: Service) -> None:
    service.put(line("def broken(:"))
    with service.running() as started:
        assert started.process is not None
        assert started.process.wait(30) == 1
    assert "the code cannot be run: routes.py, line " in service.said[-1]["message"]


def test_a_wrong_setting_ends_the_launcher_with_the_status_of_the_service(service: Service) -> None:
    with service.running(MODEL_V1_WEIGHT="0.5") as started:
        assert started.process is not None
        assert started.process.wait(30) == 2


def test_nothing_is_left_of_a_launcher_that_is_killed(service: Service) -> None:
    with service.running():
        service.ready()
        (generation,) = children(service.pid)
        everybody = [generation, *children(generation)]
        os.kill(service.pid, signal.SIGKILL)
        wait_for(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in everybody), "all of them have ended"
        )


def test_what_the_service_imports_from_others_is_loaded_before_it(root: Path) -> None:
    names = set()
    for file in (root / "app").glob("*.py"):
        if file.name != "train_model.py":
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names.add(node.module.split(".")[0])
    # Werkzeug comes with Flask.
    others = names - set(sys.stdlib_module_names) - {"app", "werkzeug"}
    assert others <= set(MODULES)


def test_the_launcher_imports_nothing_of_the_service(root: Path) -> None:
    for file in (root / "app" / "launcher").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(str(node.module))
            assert not [name for name in names if name.split(".")[0] == "app"], file.name
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), file.name

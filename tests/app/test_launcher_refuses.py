"""Code that cannot serve is refused, and the active code keeps serving: the real launcher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from images.api.launcher.code import read_code
from tests.app.launched import Load, Service, append, as_it_is, line, wait_for
from tests.app.processes import children, get

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture
def service(root: Path, trained: Path, tmp_path: Path) -> Service:
    return Service(root, tmp_path, trained)


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "is not Python": (line("def broken(:"), "routes.py, line "),
    "raises when it is loaded": (line('raise RuntimeError("on purpose")'), "RuntimeError: on purpose"),
    "leaves when it is loaded": (line("raise SystemExit(3)"), "SystemExit: 3"),
    "imports what is not there": (line("import no_such_package"), "No module named 'no_such_package'"),
    "imports a module of its own that is not there": (line("import app.gone"), "No module named 'app.gone'"),
    "has no server": (
        lambda code: (code / "runtime" / "main.py").unlink(),
        "No module named 'app.runtime.main'",
    ),
    "dies without a word": (line("import os\nos._exit(7)"), "it ended with status 7"),
    "answers nonsense": (
        lambda code: append(
            code / "runtime" / "server.py",
            "_send = Server._send\n"
            "def _wrong(self, client, answer):\n"
            "    _send(self, client, (200, b'{}', 'application/json', None))\n"
            "Server._send = _wrong",
        ),
        "POST /predict of the canary row of v1 answers 200: b'{}'",
    ),
    "answers with the other class": (
        lambda code: append(
            code / "inference" / "models.py",
            "Arm._scored_before = Arm._scored\n"
            "Arm._scored = lambda self, votes: Arm._scored_before(self, votes[::-1])\n"
            "Arm.check = lambda self: None",
        ),
        "POST /predict of the canary row of v1 answers 200",
    ),
    "never answers": (
        lambda code: append(code / "runtime" / "server.py", "Server._send = lambda *_: None"),
        "it does not respond as expected: TimeoutError",
    ),
    "has workers that fail": (
        lambda code: append(
            code / "api" / "factory.py", "def build_worker(*_, **__):\n    raise OSError('no worker')"
        ),
        "OSError: no worker",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_code_that_is_never_ready_is_refused_and_the_active_code_keeps_serving(
    service: Service, kind: str
) -> None:
    change, why = BROKEN[kind]
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        descriptors = service.descriptors
        with Load(service.port).running() as load:
            service.put(change)
            service.hang_up()
            wait_for(lambda: service.refused is not None, "the refusal is told")
        refused = service.refused
        assert refused is not None
        assert why in refused["why"]
        assert refused["code"] not in ("", before)
        assert (service.serving, load.failed) == (before, [])
        wait_for(lambda: len(children(service.pid)) == 1, "nothing of it is left")
        wait_for(lambda: service.codes() == [before], "its workers are gone, too")
        assert service.descriptors == descriptors
        service.put(as_it_is)
        service.hang_up()
        wait_for(lambda: service.refused is None, "the code that serves is put back")
        service.put(line("# mended"))
        service.hang_up()
        wait_for(lambda: service.serving != before, "mended code takes over")


def test_code_of_which_one_worker_is_up_and_another_fails_takes_no_connection_with_it(
    service: Service,
) -> None:
    text = (
        "import time\n_before = build_worker\n"
        "def build_worker(settings, *, number, **more):\n"
        "    if number == 1:\n        time.sleep(1)\n        raise OSError('the second worker')\n"
        "    return _before(settings, number=number, **more)"
    )
    with service.running(API_WORKERS="2"):
        before = service.ready().serving
        with Load(service.port).running() as load:
            service.put(lambda code: append(code / "api" / "factory.py", text))
            service.hang_up()
            wait_for(lambda: service.refused is not None, "the refusal is told")
            wait_for(lambda: len(children(service.pid)) == 1, "nothing of it is left")
            answered = load.answered
            wait_for(lambda: load.answered > answered + 200, "the load goes on")
        assert load.failed == []
        assert service.listening == 2, "each of the workers that serve still takes connections"
        assert (service.serving, "the second worker" in service.refused["why"]) == (before, True)


def test_code_that_hangs_is_refused_after_the_readiness_timeout(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        service.put(line("import time\ntime.sleep(600)"))
        service.hang_up()
        wait_for(lambda: service.refused is not None, "the refusal is told")
        assert service.refused["why"] == "it was not ready within 15 s"
        assert service.serving == before


def test_code_that_would_make_a_model_unavailable_is_refused(service: Service) -> None:
    with service.running(API_WORKERS="1"):
        before = service.ready().serving
        (service.models / "model_v2.onnx").write_bytes(b"spoiled")
        service.put(line("# new"))
        service.hang_up()
        wait_for(lambda: service.refused is not None, "the refusal is told")
        assert "model v2 would be unavailable" in service.refused["why"]
        assert (service.serving, get(service.port, "/ready")[0]) == (before, 200)


def test_code_that_cannot_run_at_the_start_ends_the_launcher_with_a_sentence(service: Service) -> None:
    service.put(line("def broken(:"))
    with service.running() as started:
        assert started.process is not None
        assert started.process.wait(30) == 1
    assert "the code cannot be run: api/routes.py, line " in service.said[-1]["message"]


def test_a_wrong_setting_ends_the_launcher_with_the_status_of_the_service(service: Service) -> None:
    with service.running(MODEL_V1_WEIGHT="0.5") as started:
        assert started.process is not None
        assert started.process.wait(30) == 2


@pytest.fixture
def released(root: Path, trained: Path, tmp_path: Path) -> Service:
    """As on a host: the previous code is beside the active code."""
    return Service(root, tmp_path, trained, ".data")


@pytest.mark.parametrize("kind", ["is not Python", "raises when it is loaded", "dies without a word"])
def test_a_start_with_code_that_cannot_serve_falls_back_on_the_previous_code(
    released: Service, kind: str
) -> None:
    change, why = BROKEN[kind]
    with released.running(API_WORKERS="1"):
        before = released.ready().serving
    released.put(change)
    with released.running(API_WORKERS="1"):
        assert released.ready().serving == before
        assert why in released.refused["why"]
        assert released.refused["code"] != before
        released.put(line("# mended"))
        released.hang_up()
        wait_for(lambda: released.serving != before, "mended code takes over")
        assert released.refused is None


def test_a_start_with_a_file_that_cannot_be_read_falls_back_on_the_previous_code(released: Service) -> None:
    with released.running(API_WORKERS="1"):
        before = released.ready().serving
    released.put(lambda code: (code / "gone.py").symlink_to("nowhere"))
    with released.running(API_WORKERS="1"):
        assert released.ready().serving == before
        assert "gone.py: No such file" in released.refused["why"]


def test_a_start_with_verified_code_that_fails_ends_and_starts_no_older_code(
    service: Service, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    service.as_on_host(
        lambda code: append(code / "api" / "routes.py", f"open({str(there)!r}).close()"),
        lambda live: read_code(live).digest,
    )
    with service.running(API_WORKERS="1"):
        assert service.process is not None
        assert service.process.wait(30) != 0
    there.touch()
    with service.running(API_WORKERS="1"):
        assert service.ready().serving == (tmp_path / "live/.in-force").read_text()
        assert service.refused is None


def test_a_start_where_no_code_can_serve_reports_the_error_of_the_newest_code(
    released: Service,
) -> None:
    change, why = BROKEN["raises when it is loaded"]
    released.put(change)
    released.put(line("raise RuntimeError('this, too')"))
    with released.running(API_WORKERS="1") as started:
        assert started.process is not None
        assert started.process.wait(30) == 1
    assert "this, too" in released.said[0]["message"]
    assert why in released.said[-1]["message"]

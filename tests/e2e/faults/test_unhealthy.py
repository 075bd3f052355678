"""Row F11: a new release of the API that crashes, hangs, answers wrongly or starts too slowly."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from provisioning.deploy.push import push_release
from provisioning.errors import UnhealthyRelease
from provisioning.events import Event, StepFinished, StepStarted
from provisioning.host.drift import read_status
from tests.e2e.conftest import changed
from tests.e2e.faults.figures import FULL, dice, figure
from tests.e2e.watch import Watch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from provisioning.config.settings import PushSettings
    from tests.e2e.conftest import Checkout
    from tests.e2e.faults.real_host import RealHost

pytestmark = pytest.mark.e2e

PYTHON = ["/srv/venv/bin/python", "-c"]
ANSWERS = (
    "import http.server as h; "
    "do = lambda self: (self.send_response(200), self.end_headers(), self.wfile.write(b'{}')); "
    "Answer = type('Answer', (h.BaseHTTPRequestHandler,), {'do_GET': do, 'do_POST': do}); "
    "h.ThreadingHTTPServer(('', 5000), Answer).serve_forever()"
)
IMAGES = {
    "crash": "raise SystemExit('broken on purpose')",
    "hang": "import socket, time; listener = socket.create_server(('', 5000)); time.sleep(3600)",
    "wrong answer": ANSWERS,
    "slow start": "import time; time.sleep(120)",
}
"""What the container runs instead of the API."""
CODE = {
    "crash": ("runtime/main.py", 'raise SystemExit("broken on purpose")'),
    "hang": ("runtime/worker.py", "import threading\n\nthreading.Event().wait()"),
    "wrong answer": (
        "runtime/server.py",
        "_send = Server._send\n\n\n"
        "def _wrong(self, client, answer):\n"
        '    _send(self, client, (200, b"{}", "application/json", None))\n\n\n'
        "Server._send = _wrong",
    ),
    "slow start": ("runtime/main.py", "import time\n\ntime.sleep(120)"),
}
"""What stands at the end of a file of the API's code."""
PAGES = {
    "crash": ("app_pages/history.py", 'def page() -> None:\n    raise ValueError("broken on purpose")'),
    "not Python": ("app_pages/status.py", "def page(:"),
    "hang": ("api/client.py", "import threading\n\nthreading.Event().wait()"),
}
"""The same of the UI's pages."""
# The same checks, quicker: what is seen is the way back, not how long somebody waits for it.
QUICK = {
    "interval: 10s": "interval: 1s",
    "start_period: 30s": "start_period: 6s",
    "timeout: 5s": "timeout: 2s",
}


@pytest.fixture
def tree(rehearsal: Checkout, host: RealHost, tmp_path: Path) -> Iterator[PushSettings]:
    """The stack's own release with quicker health checks, serving; the stack's own serves again afterwards."""
    for name in ("app", "images", "ui", "monitoring"):
        shutil.copytree(rehearsal.root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (rehearsal.root / "docker-compose.yml").read_text()
    head, mark, rest = text.partition("  flask-api:\n")
    api, following, tail = rest.partition("\n\n")
    for slow, quick in QUICK.items():
        assert slow in api
        api = api.replace(slow, quick)
    (tmp_path / "docker-compose.yml").write_text(head + mark + api + following + tail)
    settings = replace(host.settings, project_root=tmp_path)
    push_release(settings)
    yield settings
    push_release(host.settings)


def as_image(root: Path, kind: str) -> AbstractContextManager[None]:
    """Another image, so that the container has to be made anew."""
    file = root / "images" / "api" / "Dockerfile"
    return changed(file, f"{file.read_text()}\nCMD {json.dumps([*PYTHON, IMAGES[kind]])}\n")


def as_code(root: Path, kind: str) -> AbstractContextManager[None]:
    """Other code, which the container that runs is to take up."""
    name, text = CODE[kind]
    file = root / "app" / name
    return changed(file, f"{file.read_text()}\n\n{text}\n")


@pytest.mark.timeout(900)
def test_f11_an_image_that_does_not_get_well_is_taken_back_and_requests_are_lost_only_meanwhile(
    rehearsal: Checkout, host: RealHost, tree: PushSettings
) -> None:
    url = f"{rehearsal.outputs()['api_url']}/predict"
    before = read_status(tree)
    others = {name: found for name, found in host.ids("onebox").items() if name != "flask-api"}
    kinds = list(IMAGES) if FULL else [dice("F11").choice(list(IMAGES))]
    gaps = []
    for kind in kinds:
        times: dict[str, float] = {}

        def note(event: Event, times: dict[str, float] = times) -> None:
            if isinstance(event, StepStarted) and "recreate flask-api" in event.step:
                times.setdefault("began", time.monotonic())
            if isinstance(event, StepFinished) and event.step == "restore the previous release":
                times["ended"] = time.monotonic()

        watch = Watch(url)
        with (
            as_image(tree.project_root, kind),
            watch.going_on(),
            pytest.raises(UnhealthyRelease) as failed,
        ):
            push_release(tree, note)
        assert failed.value.exit_code == 3
        assert failed.value.service == "flask-api", kind
        assert failed.value.restored == before.release
        after = read_status(tree)
        assert (after.release, after.drift) == (before.release, ())
        assert {name: found for name, found in host.ids("onebox").items() if name != "flask-api"} == others
        assert (
            requests.post(url, json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=5).json()["class"] == "setosa"
        )
        assert watch.lost, "it was recreated, so something must have been lost"
        assert all(times["began"] - 1 <= moment <= times["ended"] for moment in watch.lost), kind
        gaps.append(f"{kind} {max(watch.lost) - min(watch.lost):.0f} s")
    figure(
        "F11",
        f"unhealthy release: previous one back {len(kinds)} of {len(kinds)}; predictions lost only between the "
        f"recreation and the way back ({', '.join(gaps)})",
    )


@pytest.mark.timeout(900)
def test_f11_code_that_does_not_come_to_serve_is_refused_and_no_prediction_is_lost(
    rehearsal: Checkout, host: RealHost, tree: PushSettings
) -> None:
    url = f"{rehearsal.outputs()['api_url']}/predict"
    before, ids = read_status(tree), host.ids("onebox")
    kinds = list(CODE) if FULL else [dice("F11").choice(list(CODE))]
    figures = []
    for kind in kinds:
        watch = Watch(url)
        with as_code(tree.project_root, kind), watch.going_on(), pytest.raises(UnhealthyRelease) as failed:
            push_release(tree)
        assert (failed.value.exit_code, failed.value.service) == (3, "flask-api"), kind
        assert failed.value.restored == before.release
        after = read_status(tree)
        assert (after.release, after.drift) == (before.release, ())
        assert host.ids("onebox") == ids, "no container was touched"
        assert (
            requests.post(url, json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=5).json()["class"] == "setosa"
        )
        assert watch.lost == [], kind
        figures.append(f"{kind} 0 of {watch.asked}")
    figure(
        "F11",
        f"code that does not come to serve: refused {len(kinds)} of {len(kinds)}, every container kept; predictions "
        f"lost: {', '.join(figures)}",
    )


def test_f11_pages_that_do_not_work_are_refused_and_the_old_ones_go_on(
    rehearsal: Checkout, host: RealHost, tree: PushSettings
) -> None:
    url = f"{rehearsal.outputs()['ui_url']}/code"
    before, ids = read_status(tree), host.ids("onebox")
    serving = requests.get(url, timeout=5).json()["serving"]
    kinds = list(PAGES) if FULL else [dice("F11").choice(list(PAGES))]
    figures = []
    for kind in kinds:
        name, text = PAGES[kind]
        file = tree.project_root / "ui" / name
        began = time.monotonic()
        with changed(file, f"{file.read_text()}\n\n{text}\n"), pytest.raises(UnhealthyRelease) as failed:
            push_release(tree)
        took = time.monotonic() - began
        assert (failed.value.exit_code, failed.value.service) == (3, "streamlit-ui"), kind
        assert failed.value.restored == before.release
        after = read_status(tree)
        assert (after.release, after.drift) == (before.release, ())
        assert host.ids("onebox") == ids, "no container was touched"
        answer = requests.get(url, timeout=5)
        assert (answer.status_code, answer.json()) == (
            200,
            {"serving": serving, "tried": True, "refused": None},
        )
        figures.append(f"{kind} {took:.1f} s")
    figure(
        "F11",
        f"pages that do not work: refused {len(kinds)} of {len(kinds)}, every container kept, refused and put back "
        f"after {', '.join(figures)}",
    )


def test_f11_a_container_that_starts_again_before_refused_code_was_put_back_serves_with_the_code_before_it(
    rehearsal: Checkout, host: RealHost, tree: PushSettings
) -> None:
    url = rehearsal.outputs()["api_url"]
    before = requests.get(f"{url}/config", timeout=5).json()["code"]["serving"]

    def go_away(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "restore the previous release":
            raise KeyboardInterrupt

    with as_code(tree.project_root, "crash"), pytest.raises(KeyboardInterrupt):
        push_release(tree, go_away)
    host.inside("docker", "restart", "onebox-flask-api-1")
    took = wait_until(lambda: predicted(url) == "setosa", 30, "the code before it answers")
    code = requests.get(f"{url}/config", timeout=5).json()["code"]
    assert code["serving"] == before
    assert "broken on purpose" in code["refused"]["why"]
    assert read_status(tree).drift != ()
    push_release(tree)
    assert read_status(tree).drift == ()
    figure(
        "F11",
        "client gone before refused code was put back, container started again: it answers with the code before, "
        f"{took:.1f} s after the start",
    )


def predicted(url: str) -> str:
    """The class of a row of setosa; empty where nobody answers."""
    try:
        answer = requests.post(f"{url}/predict", json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=5)
        return str(answer.json()["class"])
    except (requests.RequestException, ValueError, KeyError):
        return ""

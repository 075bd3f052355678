"""Row F11: a new release of the API that crashes, hangs, answers wrongly or starts too slowly."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from provisioning.errors import UnhealthyRelease
from provisioning.events import Event, StepFinished, StepStarted
from provisioning.push import push_release
from provisioning.status import read_status
from tests.e2e.conftest import changed
from tests.e2e.faults.figures import FULL, dice, figure

if TYPE_CHECKING:
    from provisioning.settings import PushSettings
    from tests.e2e.conftest import Checkout
    from tests.e2e.faults.real_host import RealHost

pytestmark = pytest.mark.e2e

MAIN = 'if __name__ == "__main__":\n'
BROKEN = {
    "crash": MAIN + '    raise SystemExit("broken on purpose")\n',
    "hang": "import socket\nimport time\n\n"
    + MAIN
    + '    listener = socket.create_server(("", 5000))\n    time.sleep(3600)\n',
    "wrong answer": "import http.server\n\n\nclass Answer(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n        self.send_response(200)\n        self.end_headers()\n"
    '        self.wfile.write(b"{}")\n\n    do_POST = do_GET\n\n\n'
    + MAIN
    + '    http.server.ThreadingHTTPServer(("", 5000), Answer).serve_forever()\n',
    "slow start": "import time\n\n" + MAIN + "    time.sleep(120)\n",
}
# The same checks, quicker: what is seen is the way back, not how long somebody waits for it.
QUICK = {
    "interval: 10s": "interval: 1s",
    "start_period: 30s": "start_period: 6s",
    "timeout: 5s": "timeout: 2s",
}


@pytest.fixture
def tree(rehearsal: Checkout, host: RealHost, tmp_path: Path) -> Iterator[PushSettings]:
    """The stack's own release with quicker health checks, serving; the stack's own serves again afterwards."""
    for name in ("app", "ui", "monitoring"):
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


class Watch:
    """Asks for a prediction some twenty times a second, and keeps when there was none."""

    def __init__(self, url: str) -> None:
        self.asked = 0
        self.lost: list[float] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(0.03):
            began = time.monotonic()
            self.asked += 1
            try:
                answer = requests.post(self._url, json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=1)
                right = answer.status_code == 200 and answer.json().get("class") == "setosa"
            except (requests.RequestException, ValueError):
                right = False
            if not right:
                self.lost.append(began)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(5)


@pytest.mark.timeout(900)
def test_f11_a_release_that_does_not_get_well_is_taken_back_and_requests_are_lost_only_meanwhile(
    rehearsal: Checkout, host: RealHost, tree: PushSettings
) -> None:
    url = f"{rehearsal.outputs()['api_url']}/predict"
    before = read_status(tree)
    others = {name: found for name, found in host.ids("onebox").items() if name != "flask-api"}
    kinds = list(BROKEN) if FULL else [dice("F11").choice(list(BROKEN))]
    gaps = []
    for kind in kinds:
        times: dict[str, float] = {}

        def note(event: Event, times: dict[str, float] = times) -> None:
            if isinstance(event, StepStarted) and "recreate flask-api" in event.step:
                times.setdefault("began", time.monotonic())
            if isinstance(event, StepFinished) and event.step == "put the previous release back":
                times["ended"] = time.monotonic()

        watch = Watch(url)
        with (
            changed(tree.project_root / "app" / "server.py", BROKEN[kind]),
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

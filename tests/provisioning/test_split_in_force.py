"""A split that was set at run time is shown as drift, and nothing is done about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from provisioning import cli
from provisioning.agent.observe.messages import ReadFacts
from provisioning.cli import session
from provisioning.deploy.plan_push import preview_push
from provisioning.host.drift import read_status
from provisioning.operate.overview import read_overview
from tests.provisioning.agent_process import start_request

pytestmark = pytest.mark.process

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "plan.schema.json").read_text())
CHANGED = {
    "weights": {"v1": 60, "v2": 40},
    "pushed_weights": {"v1": 50, "v2": 50},
    "changed": {"time": "2026-11-23T10:00:00Z", "by": "key 1f2e3d4c from 192.0.2.7"},
}
WORDS = "split 50/50 pushed, 60/40 active since 2026-11-23T10:00:00Z, set by key 1f2e3d4c from 192.0.2.7"
WEIGHTS = """    environment: {MODEL_V1_WEIGHT: "${MODEL_V1_WEIGHT:-50}", MODEL_V2_WEIGHT: "${MODEL_V2_WEIGHT:-50}"}"""


@pytest.fixture
def says(host: Any) -> Iterator[Callable[[Any], None]]:
    """says(answer): the API of the pushed release answers GET /config with this."""
    content: list[bytes] = []

    class Config(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/config" else 404)
            self.end_headers()
            self.wfile.write(content[-1])

        def log_message(self, *_: Any) -> None:
            pass

    compose = host.project / "docker-compose.yml"
    text = compose.read_text()
    compose.write_text(
        text.replace("""    environment: {MODEL_V1_WEIGHT: "${MODEL_V1_WEIGHT:-50}"}""", WEIGHTS)
    )
    assert compose.read_text() != text
    host.push()
    server = HTTPServer(("127.0.0.1", 0), Config)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state = host.state()
    state["containers"]["api"]["ports"] = {"5000/tcp": [{"HostPort": str(server.server_port)}], "9/udp": None}
    (host.docker / "state.json").write_text(json.dumps(state))
    yield lambda answer: content.append(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
    server.shutdown()
    thread.join()
    server.server_close()


def test_status_names_both_splits_since_when_and_by_whom(
    host: Any, says: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    says(CHANGED)
    monkeypatch.setattr(session, "settings", lambda _stack: host.settings())

    told = CliRunner().invoke(cli.app, ["status"])
    found = json.loads(CliRunner().invoke(cli.app, ["status", "--json"]).stdout)

    assert f"drift   {WORDS}" in told.stdout
    assert found["split_in_force"] == {
        "weights": "60/40",
        "pushed": "50/50",
        "since": "2026-11-23T10:00:00Z",
        "by": "key 1f2e3d4c from 192.0.2.7",
    }
    assert found["drift"] == [WORDS]


def test_plan_says_that_a_push_of_the_same_weights_leaves_it_and_finds_nothing_to_do(
    host: Any, says: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    says(CHANGED)
    monkeypatch.setattr(session, "settings", lambda _stack: host.settings())

    told = CliRunner().invoke(cli.app, ["plan"])
    document = json.loads(CliRunner().invoke(cli.app, ["plan", "--json"]).stdout)

    assert told.exit_code == 0
    assert f"drift: {WORDS}; a push keeps it" in told.stdout
    jsonschema.validate(document, SCHEMA)
    assert document["verdict"] == "nothing"
    assert document["split"]["in_force"]["ends"] is False


def test_plan_says_that_a_push_of_other_weights_ends_it(host: Any, says: Callable[[Any], None]) -> None:
    says(CHANGED)

    found = preview_push(host.settings(environment={"MODEL_V1_WEIGHT": "90", "MODEL_V2_WEIGHT": "10"}))

    document: Any = found.document
    jsonschema.validate(document, SCHEMA)
    assert document["split"]["in_force"]["ends"] is True
    assert document["verdict"] == "changes"


def test_refresh_does_not_take_it_for_something_to_repair(host: Any, says: Callable[[Any], None]) -> None:
    says(CHANGED)

    assert read_status(host.settings()).drift == ()


@pytest.mark.parametrize(
    "answer",
    [
        CHANGED | {"changed": None},
        b"not json",
        b"[" * 50_000,
        {"changed": {"time": "now"}},
        CHANGED | {"weights": {"v1": "many"}},
        CHANGED | {"weights": 5},
        [],
    ],
)
def test_the_pushed_split_and_an_answer_that_says_nothing_are_no_drift(
    host: Any, says: Callable[[Any], None], answer: Any
) -> None:
    says(answer)

    found = read_overview(host.settings())

    assert (found.split_in_force, found.drift) == (None, ())


def test_what_the_host_says_cannot_move_the_cursor(
    host: Any, says: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    says(CHANGED | {"changed": {"time": "2026\x1b[2J", "by": "me\n"}})
    monkeypatch.setattr(session, "settings", lambda _stack: host.settings())

    for verb in ("plan", "status"):
        told = CliRunner().invoke(cli.app, [verb]).stdout
        assert "60/40 active" in told
        assert "\x1b" not in told
        assert "me\n" not in told


TELL_LOADED = """\
    print([name for name in ("http", "email", "ssl") if name in sys.modules])
    return Exit.OK
"""


def test_a_look_at_the_host_loads_no_library_for_its_one_question(host: Any, tmp_path: Path) -> None:
    process = start_request(
        ReadFacts(str(tmp_path), "onebox"),
        {"    return Exit.OK\n": TELL_LOADED},
        env=host.sshd.environment,
    )

    stdout, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert stdout.splitlines()[-1] == "[]"

"""A plan looks and changes nothing, and what it says is what a push then does."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioning.agent.observe.messages import ReadFacts, ReadFiles
from provisioning.agent.protocol import Request
from provisioning.agent.store.messages import ConfirmLiveData, Publish
from provisioning.config.settings import Target
from provisioning.deploy.plan_push import Preview, preview_push
from provisioning.ssh import Connection, connect
from provisioning.ssh.connection import WriteRefused
from tests.provisioning.previews import RULES, SCHEMA, change_container, preview, with_rules, write

pytestmark = pytest.mark.process


OTHER = """\
  other:
    build: ./ui
    image: onebox/other:${ONEBOX_OTHER_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_OTHER_DIGEST:-dev}"}
"""


WEB = "  web:\n    build: ./ui\n"


@pytest.fixture
def host(host: Any) -> Any:
    return with_rules(host)


def edit(host: Any, path: str, old: str, new: str) -> None:
    text = (host.project / path).read_text()
    assert old in text
    write(host, path, text.replace(old, new))


def deeds(preview: Preview) -> tuple[str, ...]:
    assert preview.forecast
    return tuple(item.container_action for item in preview.forecast.services if item.container_action)


def seen(calls: list[list[str]], services: dict[str, str]) -> tuple[str, ...]:
    """What Docker was told to do, in the words of a plan. `services` are the containers before it, by id."""
    images: dict[str, str] = {}
    found = []
    for word, *rest in calls:
        if word == "build":
            images.update(dict.fromkeys(rest, "build+"))
        elif word == "tag":
            images[rest[1].split("/")[1].split(":")[0]] = "tag+"
        elif word == "up":
            verb = "recreate" if rest[0] == "--force-recreate" else "start"
            found.append(f"{images.get(rest[1], '')}{verb} {rest[1]}")
        elif word == "exec":
            found.append(f"reload {rest[0]}")
        elif word == "remove":
            found += [f"remove {services[one]}" for one in rest]
    return tuple(found)


def fresh(host: Any) -> None:
    shutil.rmtree(host.root)
    host.root.mkdir()
    (host.docker / "state.json").unlink()


def earlier_release(host: Any) -> None:
    before = (host.project / "ui" / "page.py").read_text()
    write(host, "ui/page.py", "second")
    host.push()
    write(host, "ui/page.py", before)


def move_current(host: Any) -> None:
    (host.root / "current").unlink()
    (host.root / "current").symlink_to("releases/elsewhere")


Row = tuple[Callable[[Any], Any], Sequence[str]]


def write_rule_and_code(host: Any) -> None:
    write(host, "rules/alerts.yml", "x: 1")
    write(host, "app/server.py", "new")


ROWS: dict[str, Row] = {
    "nothing": (lambda _host: None, []),
    "a host without anything": (fresh, ["build+recreate api", "build+recreate rules", "build+recreate web"]),
    "a line of the page": (lambda host: write(host, "ui/page.py", "new"), ["build+recreate web"]),
    "a file that is gone": (
        lambda host: (host.project / "app/server.py").unlink(),
        ["build+recreate api"],
    ),
    "new models": (lambda host: write(host, "models/model.onnx", "new"), ["tag+recreate api"]),
    "a changed rule": (lambda host: write(host, "rules/alerts.yml", "groups: [1]"), ["reload rules"]),
    "a new rule file": (lambda host: write(host, "rules/more/b.yml", "groups: []"), ["reload rules"]),
    "the image of the rules": (
        lambda host: write(host, "images/rules/Dockerfile", "FROM scratch\nUSER 1\n"),
        ["build+recreate rules"],
    ),
    "a rule and a line of the API": (
        write_rule_and_code,
        ["build+recreate api", "reload rules"],
    ),
    "a setting of one service": (
        lambda host: edit(host, "docker-compose.yml", WEB, f"{WEB}    mem_limit: 1g\n"),
        ["tag+recreate web"],
    ),
    "a network that all share": (
        lambda host: edit(host, "docker-compose.yml", "services:", "networks: {n: {}}\nservices:"),
        ["tag+recreate api", "tag+recreate rules", "tag+recreate web"],
    ),
    "a service more": (
        lambda host: edit(host, "docker-compose.yml", RULES, RULES + OTHER),
        ["build+recreate other"],
    ),
    "a service less": (lambda host: edit(host, "docker-compose.yml", RULES, ""), ["remove rules"]),
    "a stopped container": (lambda host: change_container(host, "api", state="exited"), ["start api"]),
    "an unhealthy container": (
        lambda host: change_container(host, "api", health="unhealthy"),
        ["recreate api"],
    ),
    "a container that is gone": (lambda host: change_container(host, "web"), ["recreate web"]),
    "a container of another image": (lambda host: change_container(host, "web", image="x"), ["recreate web"]),
    "a tampered file": (lambda host: (host.root / "current/ui/page.py").write_text("evil"), []),
    "tampered models": (
        lambda host: next(host.root.glob("data/*/model.onnx")).write_text("evil"),
        ["recreate api"],
    ),
    "a tampered rule": (
        lambda host: (host.root / "live/ONEBOX_RULES_DIR/alerts.yml").write_text("evil"),
        ["reload rules"],
    ),
    "rules that nobody is known to have read": (
        lambda host: (host.root / "live/ONEBOX_RULES_DIR/.in-force").unlink(),
        ["reload rules"],
    ),
    "rules whose directory is gone": (lambda host: shutil.rmtree(host.root / "live"), ["recreate rules"]),
    "a moved current link": (move_current, []),
    "an earlier release": (earlier_release, ["recreate web"]),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_a_plan_says_is_what_a_push_then_does(host: Any, name: str) -> None:
    change, expected = ROWS[name]
    host.push()
    change(host)
    host.calls()
    before = host.state()["containers"] if (host.docker / "state.json").exists() else {}

    said = preview(host)
    result = host.push()

    assert deeds(said) == tuple(expected)
    assert result.container_actions == tuple(expected)
    assert seen(host.calls(), {item["id"]: key for key, item in before.items()}) == tuple(expected)
    jsonschema.validate(said.document, SCHEMA)
    assert said.forecast
    assert said.forecast.nothing_to_do is not result.changed
    assert said.forecast.upload_files == result.uploaded_files
    after = host.state()["containers"]
    made_anew = {key for key in after if after[key]["id"] != before.get(key, {}).get("id")}
    assert made_anew == {one.split()[1] for one in expected if "recreate" in one}
    assert preview(host).forecast.nothing_to_do  # type: ignore[union-attr]


def test_a_changed_value_recreates_what_reads_it_and_shows_the_split(host: Any) -> None:
    host.push()

    said = preview(host, environment={"MODEL_V1_WEIGHT": "70"})
    result = host.push(environment={"MODEL_V1_WEIGHT": "70"})

    assert deeds(said) == result.container_actions == ("tag+recreate api",)
    assert said.document["split"] == {
        "changed": True,
        "weights": [{"name": "MODEL_V1_WEIGHT", "before": "50", "after": "70"}],
        "in_force": None,
    }


class Recorder:
    """A connector whose connections keep the requests that were started through them."""

    def __init__(self) -> None:
        self.requests: list[type[Request[Any]]] = []

    def __call__(self, target: Target) -> Connection:
        connection = connect(target)
        start_request = connection.start_request

        def record(request: Request[Any], **more: Any) -> Any:
            self.requests.append(type(request))
            return start_request(request, **more)

        connection.start_request = record  # type: ignore[method-assign]
        return connection


def everything(home: Path) -> dict[str, tuple[float, str]]:
    """Every file and directory of the host with the time it was last changed and its content.

    Without the stand-in for Docker, which writes down what it was asked.
    """
    return {
        path.relative_to(home).as_posix(): (
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in home.rglob("*")
        if path.relative_to(home).parts[0] != "docker"
    }


@pytest.mark.parametrize("pushed", [True, False])
def test_a_plan_sends_only_requests_that_read_and_leaves_every_file_as_it_was(
    host: Any, pushed: bool
) -> None:
    if pushed:
        host.push()
        write(host, "ui/page.py", "new")
    host.calls()
    before = everything(host.home)
    containers = host.state()["containers"] if pushed else {}
    recorder, commands = Recorder(), len(host.sshd.commands)

    assert preview_push(host.settings(), connector=recorder).forecast

    assert len(host.sshd.commands) == commands + 1
    assert recorder.requests
    assert set(recorder.requests) <= {ReadFacts, ReadFiles}
    assert everything(host.home) == before
    assert (host.calls(), host.state()["containers"]) == ([], containers)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda link: link.run(["true"], deadline=5),
        lambda link: link.start(["true"], "a step"),
        lambda link: link.put_file(b"x", "/tmp/x", deadline=5),
        lambda link: link.call(Publish("/x", None, {}, None), deadline=5),
        lambda link: link.start_request(ConfirmLiveData("/x", None, "V", "d")),
        lambda link: link.start_alone(ReadFacts("/x", "onebox")),
        lambda link: link.call(ReadFacts("/x", "onebox"), deadline=5, sudo=True),
        lambda link: link.open_tunnel(80, 1),
    ],
)
def test_a_connection_for_looking_refuses_everything_that_could_write(host: Any, attempt: Any) -> None:
    with connect(host.target) as connection:
        connection.restrict_to(ReadFacts, ReadFiles)

        with pytest.raises(WriteRefused):
            attempt(connection)

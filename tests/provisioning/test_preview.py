"""A plan looks and changes nothing, and what it says is what a push then does."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioning.errors import PlanRefused, ReleaseError
from provisioning.plan_file import read_plan, write_plan
from provisioning.preview import Preview, preview_push
from provisioning.read_only import ReadOnlyConnection, WriteRefused
from provisioning.remote import script
from provisioning.settings import Target
from provisioning.ssh import Connection, connect

pytestmark = pytest.mark.process

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "plan.schema.json").read_text())
RULES = """\
  rules:
    build: ./rules
    x-onebox-reload: SIGHUP
    image: onebox/rules:${ONEBOX_RULES_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_RULES_DIGEST:-dev}"}
    volumes: ["${ONEBOX_RULES_DIR:-./rules}:/etc/rules:ro"]
"""
OTHER = """\
  other:
    build: ./ui
    image: onebox/other:${ONEBOX_OTHER_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_OTHER_DIGEST:-dev}"}
"""
WEB = "  web:\n    build: ./ui\n"


@pytest.fixture
def host(host: Any) -> Any:
    """With a third service, which reads its data anew on a signal."""
    write(host, "rules/Dockerfile", "FROM scratch\n")
    write(host, "rules/alerts.yml", "groups: []\n")
    write(host, "docker-compose.yml", (host.project / "docker-compose.yml").read_text() + RULES)
    return host


def write(host: Any, path: str, text: str) -> None:
    (host.project / path).parent.mkdir(parents=True, exist_ok=True)
    (host.project / path).write_text(text)


def edit(host: Any, path: str, old: str, new: str) -> None:
    text = (host.project / path).read_text()
    assert old in text
    write(host, path, text.replace(old, new))


def change_container(host: Any, service: str, **more: Any) -> None:
    state = host.state()
    if more:
        state["containers"][service].update(more)
    else:
        del state["containers"][service]
    (host.docker / "state.json").write_text(json.dumps(state))


def preview(host: Any, **more: Any) -> Preview:
    return preview_push(host.settings(**more))


def deeds(preview: Preview) -> tuple[str, ...]:
    assert preview.forecast
    return tuple(item.deed for item in preview.forecast.services if item.deed)


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
ROWS: dict[str, Row] = {
    "nothing": (lambda _host: None, []),
    "a host without anything": (fresh, ["build+recreate api", "build+recreate rules", "build+recreate web"]),
    "a line of the page": (lambda host: write(host, "ui/page.py", "new"), ["build+recreate web"]),
    "a file that is gone": (lambda host: (host.project / "app/server.py").unlink(), ["build+recreate api"]),
    "new models": (lambda host: write(host, "app/artifacts/model.onnx", "new"), ["tag+recreate api"]),
    "a changed rule": (lambda host: write(host, "rules/alerts.yml", "groups: [1]"), ["reload rules"]),
    "a new rule file": (lambda host: write(host, "rules/more/b.yml", "groups: []"), ["reload rules"]),
    "the image of the rules": (
        lambda host: write(host, "rules/Dockerfile", "FROM scratch\nUSER 1\n"),
        ["build+recreate rules"],
    ),
    "a rule and a line of the API": (
        lambda host: (write(host, "rules/alerts.yml", "x: 1"), write(host, "app/server.py", "new")),
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
    """A connector whose connections keep what was started on the host through them."""

    def __init__(self) -> None:
        self.started: list[Sequence[str] | str] = []

    def __call__(self, target: Target) -> Connection:
        connection = connect(target)
        start = connection.start

        def record(command: Sequence[str] | str, step: str) -> Any:
            self.started.append(command)
            return start(command, step)

        connection.start = record  # type: ignore[method-assign]
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
def test_a_plan_runs_only_scripts_that_read_and_leaves_every_file_as_it_was(host: Any, pushed: bool) -> None:
    if pushed:
        host.push()
        write(host, "ui/page.py", "new")
    host.calls()
    before = everything(host.home)
    containers = host.state()["containers"] if pushed else {}
    recorder = Recorder()

    assert preview_push(host.settings(), connector=recorder).forecast

    reading = {script("facts.py"), script("read_files.py")}
    assert recorder.started
    assert all(not isinstance(command, str) and command[3] in reading for command in recorder.started)
    assert everything(host.home) == before
    assert (host.calls(), host.state()["containers"]) == ([], containers)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda link: link.run(["true"], deadline=5),
        lambda link: link.start(["true"], "a step"),
        lambda link: link.put_file(b"x", "/tmp/x", deadline=5),
        lambda link: link.run_script("publish.py", deadline=5),
        lambda link: link.run_script("live.py", deadline=5),
        lambda link: link.run_script("facts.py", deadline=5, sudo=True),
        lambda link: link.open_tunnel(80, 1),
    ],
)
def test_a_connection_for_looking_refuses_everything_that_could_write(host: Any, attempt: Any) -> None:
    with connect(host.target) as connection, pytest.raises(WriteRefused):
        attempt(ReadOnlyConnection(connection))


def test_files_show_as_diffs_and_secrets_do_not_show(host: Any) -> None:
    write(host, "ui/settings.py", "API_TOKEN = 'old-one'\nCOLOUR = 'red'\n")
    (host.project / "app" / "logo.png").write_bytes(b"\x89PNG\x00\xff")
    host.push()
    write(host, "ui/settings.py", "API_TOKEN = 'new-one'\nCOLOUR = 'blue'\n")
    (host.project / "app" / "logo.png").write_bytes(b"\x89PNG\x00\xfe\xfe")

    document = preview(host).document

    files = {item["path"]: item for item in document["files"]}
    assert files["ui/settings.py"]["diff"][-4:] == [
        *("-API_TOKEN = ***", "-COLOUR = 'red'"),
        *("+API_TOKEN = ***", "+COLOUR = 'blue'"),
    ]
    assert (files["app/logo.png"]["diff"], files["app/logo.png"]["after"]["size"]) == (None, 7)
    assert set(files) == {"ui/settings.py", "app/logo.png"}
    assert "-one" not in json.dumps(document)


def test_the_seconds_without_answer_come_from_this_hosts_journal(host: Any) -> None:
    host.push()
    write(host, "ui/page.py", "new")

    (web,) = [item for item in preview(host).document["services"] if item["deed"]]

    assert web["measured"]
    assert 0 < web["seconds_without_answer"] < 60


def test_a_host_that_cannot_be_read_is_unknown_and_no_error(host: Any) -> None:
    host.sshd.stop()

    found = preview_push(host.settings(), deadline_seconds=1)

    jsonschema.validate(found.document, SCHEMA)
    assert found.forecast is None
    assert "not ready: TCP" in found.unknown
    assert (found.document["verdict"], found.document["services"]) == ("unknown", [])


def test_a_host_with_another_key_is_unknown_and_named(host: Any, make_key: Any, tmp_path: Path) -> None:
    target = replace(host.target, host_keys=(make_key(tmp_path / "other"),))

    found = preview_push(replace(host.settings(), target=target), deadline_seconds=5)

    assert "nothing was sent" in found.unknown


def test_a_tree_that_cannot_become_a_release_is_an_error(host: Any) -> None:
    (host.project / "docker-compose.yml").write_text("services: []")

    with pytest.raises(ReleaseError):
        preview(host)


def agreed(host: Any, tmp_path: Path) -> Any:
    write_plan(preview(host).document, tmp_path / "plan.json")
    return read_plan(tmp_path / "plan.json")


def test_a_push_does_the_plan_that_was_read(host: Any, tmp_path: Path) -> None:
    host.push()
    write(host, "ui/page.py", "new")

    plan = agreed(host, tmp_path)

    assert host.push_agreed(plan).container_actions == ("build+recreate web",)
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (lambda host: write(host, "ui/page.py", "another"), "this tree now is"),
        (lambda host: change_container(host, "api", state="exited"), "the host has changed"),
        (lambda host: change_container(host, "api", id="other"), "the host has changed"),
        (lambda host: (host.root / "current/app/server.py").write_text("evil"), "the host has changed"),
        (lambda host: host.push(), "the host has changed"),
    ],
)
def test_a_plan_is_refused_when_the_tree_or_the_host_has_moved(
    host: Any, tmp_path: Path, meanwhile: Any, reason: str
) -> None:
    host.push()
    write(host, "ui/page.py", "new")
    plan = agreed(host, tmp_path)
    meanwhile(host)
    host.calls()
    before = host.state()

    with pytest.raises(PlanRefused, match=reason):
        host.push_agreed(plan)

    assert (host.calls(), host.state()) == ([], before)


def test_a_plan_for_another_host_is_refused(host: Any, tmp_path: Path) -> None:
    plan = agreed(host, tmp_path)

    with pytest.raises(PlanRefused, match="made for another host: its root differs"):
        host.push_agreed(plan, remote_root=str(host.home / "elsewhere"))

"""What a plan shows, and what it does not; a plan that was read and is then carried out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioning.deploy.plan_push import preview_push
from provisioning.errors import PlanRefused, ReleaseError
from provisioning.plan.saved_plan import read_plan, write_plan
from tests.provisioning.previews import SCHEMA, change_container, preview, with_rules, write

pytestmark = pytest.mark.process


@pytest.fixture
def host(host: Any) -> Any:
    return with_rules(host)


def test_files_show_as_diffs_and_secrets_do_not_show(host: Any) -> None:
    write(host, "ui/settings.py", "API_TOKEN = 'old-one'\nCOLOUR = 'red'\n")
    (host.project / "app" / "logo.png").write_bytes(b"\x89PNG\x00\xff")
    host.push()
    write(host, "ui/settings.py", "API_TOKEN = 'new-one'\nCOLOUR = 'blue'\n")
    (host.project / "app" / "logo.png").write_bytes(b"\x89PNG\x00\xfe\xfe")

    document: Any = preview(host).document

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

    document: Any = preview(host).document
    (web,) = [item for item in document["services"] if item["deed"]]

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

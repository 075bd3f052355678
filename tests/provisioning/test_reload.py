"""Data that a service reads anew on a signal: what counts as such, how it is switched, and how it is proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning.errors import ReleaseError, UnhealthyRelease
from provisioning.host.docker_commands import reload_argv
from provisioning.host.drift import read_status
from provisioning.release.compose_file import parse_compose_file
from provisioning.release.release import read_release

RULES = """\
  rules:
    build: ./images/rules
    x-onebox-reload: SIGHUP
    image: onebox/rules:${ONEBOX_RULES_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_RULES_DIGEST:-dev}"}
    volumes: ["${ONEBOX_RULES_DIR:-./rules}:/etc/rules:ro"]
"""


@pytest.fixture
def project(project: Path) -> Path:
    """With a third service, which reads its data anew on a signal."""
    (project / "images" / "rules").mkdir(parents=True)
    (project / "images" / "rules" / "Dockerfile").write_text("FROM scratch\n")
    (project / "rules").mkdir()
    (project / "rules" / "alerts.yml").write_text("groups: []\n")
    compose = project / "docker-compose.yml"
    compose.write_text(compose.read_text() + RULES)
    return project


def test_data_that_is_read_on_a_signal_is_no_part_of_its_services_digest(project: Path) -> None:
    before = read_release(project, {})
    (project / "rules" / "alerts.yml").write_text("groups: [1]\n")
    after = read_release(project, {})

    assert after.digest != before.digest
    assert after.services == before.services
    assert after.data["ONEBOX_RULES_DIR"].digest != before.data["ONEBOX_RULES_DIR"].digest


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("SIGHUP", "SIGKILL", "rules has x-onebox-reload: SIGKILL; use SIGHUP"),
        ("${ONEBOX_RULES_DIR:-./rules}", "/rules", "rules has x-onebox-reload, but mounts no data"),
        ("ONEBOX_RULES_DIR", "ONEBOX_MODELS_DIR", "ONEBOX_MODELS_DIR is mounted by api and rules"),
    ],
)
def test_a_reload_that_cannot_work_is_refused(project: Path, old: str, new: str, sentence: str) -> None:
    text = (project / "docker-compose.yml").read_text().replace(old, new)

    with pytest.raises(ReleaseError, match=sentence.replace("$", r"\$")):
        parse_compose_file(text)


def test_the_signal_is_sent_from_inside_because_docker_takes_its_own_for_a_stop() -> None:
    argv = reload_argv("c1", "SIGHUP")

    assert argv == ["docker", "exec", "c1", "sh", "-c", "kill -s HUP 1"]


def live(host: Any) -> Path:
    return Path(host.root / "live" / "ONEBOX_RULES_DIR")


@pytest.mark.process
def test_a_changed_rule_is_a_reload_and_touches_nothing_else(host: Any) -> None:
    host.push()
    host.calls()
    before = host.state()["containers"]
    inode = live(host).stat().st_ino
    (host.project / "rules" / "alerts.yml").write_text("groups: [1]\n")

    result = host.push()

    assert result.container_actions == ("reload rules",)
    assert host.calls() == [["exec", "rules", "sh", "-c", "kill -s HUP 1"]]
    assert host.state()["containers"] == before
    assert live(host).stat().st_ino == inode
    assert (live(host) / "alerts.yml").read_text() == "groups: [1]\n"
    assert read_status(host.settings()).drift == ()
    assert not host.push().changed


@pytest.mark.process
def test_a_switch_of_data_is_in_the_journal_before_and_after(host: Any) -> None:
    host.push()
    (host.project / "rules" / "alerts.yml").write_text("groups: [1]\n")

    host.push()

    text = (host.root / "journal.jsonl").read_text().splitlines()
    begun = [json.loads(line) for line in text]
    steps = [(entry.get("step"), entry.get("state")) for entry in begun if entry["push"] == begun[-1]["push"]]
    names = ["upload", "publish", "switch ONEBOX_RULES_DIR", "reload rules", "confirm ONEBOX_RULES_DIR"]
    assert steps[1:-1] == [(name, state) for name in names for state in ("begin", "end")]


@pytest.mark.process
def test_all_files_of_the_data_change_by_one_move_of_one_link(host: Any) -> None:
    (host.project / "rules" / "more").mkdir()
    (host.project / "rules" / "more" / "a.yml").write_text("1")
    host.push()
    (host.project / "rules" / "more" / "a.yml").write_text("2")
    (host.project / "rules" / "alerts.yml").unlink()
    (host.project / "rules" / "new.yml").write_text("2")

    host.push()

    home = live(host)
    digest = read_release(host.project, {}).data["ONEBOX_RULES_DIR"].digest
    assert (home / ".current").readlink() == Path(f".data/{digest}")
    links = {path.name: path.readlink() for path in home.iterdir() if not path.name.startswith(".")}
    assert links == {name: Path(f".current/{name}") for name in ("more", "new.yml")}
    assert (home / "more" / "a.yml").read_text() == "2"
    assert len(list((home / ".data").iterdir())) == 2


@pytest.mark.process
def test_the_service_mounts_the_same_directory_in_every_release(host: Any) -> None:
    host.push()
    env_file = host.root / "current" / "release.env"

    assert f"ONEBOX_RULES_DIR='{live(host)}'" in env_file.read_text()


@pytest.mark.process
def test_a_service_that_does_not_take_the_signal_gets_its_earlier_data_back(host: Any) -> None:
    first = host.push()
    (host.project / "rules" / "alerts.yml").write_text("groups: [1]\n")
    (host.docker / "deaf").write_text("rules")

    with pytest.raises(UnhealthyRelease, match="not healthy: SIGHUP could not be sent") as caught:
        host.push()

    assert (live(host) / "alerts.yml").read_text() == "groups: []\n"
    assert caught.value.restored == first.release
    assert (host.root / "current").readlink().name == first.release
    assert read_status(host.settings()).drift == ()
    assert host.push().container_actions == ("reload rules",)


@pytest.mark.process
def test_a_push_that_died_before_the_signal_is_made_good_by_the_next(host: Any) -> None:
    host.push()
    (live(host) / ".in-force").unlink()
    assert read_status(host.settings()).drift == ("rules: it has not confirmed that it loaded its data",)

    assert host.push().container_actions == ("reload rules",)
    assert read_status(host.settings()).drift == ()

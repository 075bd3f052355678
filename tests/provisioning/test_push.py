"""A push against a host that runs the remote scripts for real, with a Docker that only keeps records."""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.lock.holder_file import Holder
from provisioning.agent.lock.messages import HoldLock
from provisioning.deploy.push import retire
from provisioning.errors import Locked, UnhealthyRelease
from provisioning.host.drift import read_status
from provisioning.host_errors import BuildFailed
from provisioning.release.release import read_release
from tests.provisioning.agent_process import start_request

pytestmark = pytest.mark.process


def test_a_first_push_brings_everything_and_starts_the_services_in_order(host: Any) -> None:
    result = host.push()

    assert result.changed
    assert host.calls() == [
        ["build", "api", "web"],
        ["up", "--force-recreate", "api"],
        ["up", "--force-recreate", "web"],
    ]
    assert (host.root / "current").readlink().name == result.release
    assert (host.root / "current" / "app" / "server.py").read_text() == "print('api')\n"
    assert result.container_actions == ("build+recreate api", "build+recreate web")


def test_a_second_push_of_the_same_tree_uploads_and_touches_nothing(host: Any) -> None:
    host.push()
    host.calls()
    journal = (host.root / "journal.jsonl").read_text()

    result = host.push()

    assert (result.changed, result.uploaded_files, result.uploaded_bytes) == (False, 0, 0)
    assert (result.container_actions, host.calls()) == ((), [])
    assert (host.root / "journal.jsonl").read_text() == journal


def test_one_changed_file_is_the_only_file_sent_and_only_its_service_is_touched(host: Any) -> None:
    host.push()
    host.calls()
    (host.project / "ui" / "page.py").write_text("print('new')\n")

    result = host.push()

    # The page, and the env file that carries the service's new digest.
    assert result.uploaded_files == 2
    assert host.calls() == [["build", "web"], ["up", "--force-recreate", "web"]]


def test_a_file_deleted_here_is_gone_from_the_new_release(host: Any) -> None:
    (host.project / "ui" / "old.py").write_text("")
    host.push()
    (host.project / "ui" / "old.py").unlink()

    host.push()

    assert not (host.root / "current" / "ui" / "old.py").exists()


def test_new_models_recreate_the_service_without_a_build(host: Any) -> None:
    host.push()
    host.calls()
    (host.project / "models" / "model.onnx").write_text("retrained")

    result = host.push()

    calls = host.calls()
    assert [call[0] for call in calls] == ["tag", "up"]
    assert result.container_actions == ("tag+recreate api",)
    directory = read_release(host.project, {}).data["ONEBOX_MODELS_DIR"].digest
    assert (host.root / "data" / directory / "model.onnx").read_text() == "retrained"


def test_a_value_of_the_environment_touches_only_the_service_that_uses_it(host: Any) -> None:
    host.push()
    host.calls()

    host.push(environment={"MODEL_V1_WEIGHT": "70"})

    assert [call[-1] for call in host.calls() if call[0] == "up"] == ["api"]
    env_file = host.root / "current" / "release.env"
    assert "MODEL_V1_WEIGHT='70'" in env_file.read_text()
    assert env_file.stat().st_mode & 0o777 == 0o600


def test_an_unhealthy_release_puts_the_previous_one_back_as_a_set(host: Any) -> None:
    first = host.push()
    before = host.state()["containers"]
    host.calls()
    (host.project / "app" / "server.py").write_text("bad")
    (host.project / "ui" / "page.py").write_text("changed too")
    bad = read_release(host.project, {}).services["web"].digest
    (host.docker / "unhealthy").write_text(bad)

    with pytest.raises(UnhealthyRelease) as caught:
        host.push()

    error = caught.value
    assert (error.service, error.restored, error.exit_code) == ("web", first.release, 3)
    assert error.log_tail[-1] == "line 79 of web"
    assert len(error.log_tail) == 50
    after = host.state()["containers"]
    assert {name: item["digest"] for name, item in after.items()} == {
        name: item["digest"] for name, item in before.items()
    }
    assert all(item["health"] == "healthy" for item in after.values())
    assert [call for call in host.calls() if call[0] == "build"] == [["build", "api", "web"]]
    assert (host.root / "current").readlink().name == first.release
    assert json.loads((host.root / "journal.jsonl").read_text().splitlines()[-1])["result"] == "failed"


def test_an_unhealthy_first_push_says_that_there_is_nothing_to_go_back_to(host: Any) -> None:
    (host.docker / "unhealthy").write_text("api")

    with pytest.raises(
        UnhealthyRelease, match="there is no previous release to restore; stopped: api"
    ) as caught:
        host.push()

    assert caught.value.restored is None
    assert host.state()["containers"]["api"]["state"] == "exited"
    assert not (host.root / "current").exists()


def test_a_failed_build_leaves_the_containers_alone(host: Any) -> None:
    host.push()
    before = host.state()["containers"]
    (host.project / "ui" / "page.py").write_text("new")
    (host.docker / "broken-build").write_text("web")

    with pytest.raises(BuildFailed, match=r"the image of web cannot be built: .*failed to solve"):
        host.push()

    assert host.state()["containers"] == before


def test_a_push_after_a_failed_one_succeeds(host: Any) -> None:
    (host.docker / "unhealthy").write_text("api")
    with pytest.raises(UnhealthyRelease):
        host.push()
    (host.docker / "unhealthy").unlink()

    assert host.push().changed
    assert read_status(host.settings()).drift == ()


def test_a_held_lock_is_refused_and_names_its_holder(host: Any) -> None:
    holder = Holder(who="ann@laptop", doing="push of abc", since="today")
    held = start_request(HoldLock(str(host.root), holder))
    assert held.stdout
    assert held.stdin
    assert held.stdout.readline() == "held\n"

    with pytest.raises(Locked, match="ann@laptop, push of abc") as caught:
        host.push()

    assert caught.value.exit_code == 4
    held.stdin.close()
    assert held.wait(10) == 0
    held.stdout.close()
    assert host.push().changed


def test_old_releases_and_images_are_pruned_but_never_the_last_two(host: Any) -> None:
    releases = []
    for number in range(4):
        (host.project / "ui" / "page.py").write_text(f"version {number}")
        releases.append(host.push(keep_releases=2).release)

    assert {path.name for path in (host.root / "releases").iterdir()} == set(releases[-2:])
    assert sum(name.startswith("onebox/web:") for name in host.state()["images"]) == 2


def test_what_is_pruned_does_not_depend_on_the_hosts_clock(host: Any) -> None:
    digests = []
    for number in range(4):
        (host.project / "ui" / "page.py").write_text(str(number))
        digests.append(host.push(keep_releases=3).release)
        # As if the clock had been a day ahead then, and were set back with every push.
        future = time.time() + 86400 * (5 - number)
        os.utime(host.root / "releases" / digests[-1], (future, future))

    assert {path.name for path in (host.root / "releases").iterdir()} == set(digests[1:])


def test_going_back_to_an_earlier_tree_needs_no_upload_and_no_build(host: Any) -> None:
    first = host.push()
    (host.project / "ui" / "page.py").write_text("second")
    host.push()
    host.calls()
    (host.project / "ui" / "page.py").write_text("print('web')\n")

    result = host.push()

    assert (result.release, result.uploaded_files) == (first.release, 0)
    assert host.calls() == [["up", "--force-recreate", "web"]]


def test_a_service_that_left_the_compose_file_is_removed(host: Any) -> None:
    host.push()
    text = (host.project / "docker-compose.yml").read_text()
    (host.project / "docker-compose.yml").write_text(text[: text.index("  web:")])

    result = host.push()

    assert result.container_actions[-1] == "remove web"
    assert set(host.state()["containers"]) == {"api"}


def test_every_step_is_reported_with_its_end(host: Any, events: Any) -> None:
    host.push(events)

    text = events.text()
    for name in ("connect", "ready", "upload", "publish", "build", "recreate api", "smoke test", "record"):
        assert f"{name} …" in text
        assert f"\n{name}: " in text
    assert "build: #1 building web" in text


def test_a_host_that_is_as_wanted_is_looked_at_once_and_asked_nothing_else(host: Any, events: Any) -> None:
    host.push()

    host.push(events)

    told = [line.split(":")[0] for line in events.text().splitlines() if not line.endswith("…")]
    assert told == ["read the release", "connect", "observe the host"]


def test_the_look_under_the_lock_is_told_only_when_it_finds_something_else(host: Any, events: Any) -> None:
    host.push()
    (host.project / "ui" / "page.py").write_text("print('new')\n")

    host.push(events)

    assert events.text().count("observe the host: build+recreate web") == 1


def test_nothing_of_an_upload_is_left_behind(host: Any) -> None:
    host.push()

    assert not (host.root / "incoming").exists()
    assert not list(host.root.glob("**/*.part-*"))
    assert not list(host.root.glob("**/*.partial"))


def test_retire_ends_the_services_and_never_raises(host: Any) -> None:
    host.push()

    assert retire(host.settings(), 10) == ()
    assert host.state()["containers"] == {}
    host.sshd.stop()
    (warning,) = retire(host.settings(), 1)
    assert "were not stopped cleanly" in warning


def test_a_push_reads_each_file_of_the_tree_once(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Counter[Path] = Counter()
    really_open = io.open

    def count(file: Any, *given: Any, **more: Any) -> Any:
        if isinstance(file, Path) and file.is_relative_to(host.project):
            opened[file] += 1
        return really_open(file, *given, **more)

    # What a Path reads and what it opens both go through here.
    monkeypatch.setattr(io, "open", count)

    host.push()

    files = {path for path in host.project.rglob("*") if path.is_file()}
    assert opened == dict.fromkeys(files, 1)

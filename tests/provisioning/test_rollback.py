"""Rollbacks on a host that runs the remote scripts for real, with a Docker that only keeps records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.deploy.rollback import plan_rollback, roll_back
from provisioning.errors import HostMoved, Locked, SettingsError, UnhealthyRelease
from provisioning.events import silent
from provisioning.host.audit import read_audit
from provisioning.host.drift import read_status
from provisioning.host.history import read_releases
from provisioning.host.lock import hold
from provisioning.host_errors import HostError

pytestmark = pytest.mark.process


def _push(host: Any, text: str, **more: Any) -> str:
    (host.project / "app" / "server.py").write_text(text)
    release: str = host.push(**more).release
    return release


def _back(host: Any, wanted: str | None = None, report: Any = silent) -> Any:
    settings = host.settings()
    return roll_back(settings, plan_rollback(settings, wanted), report, run_dir=str(host.home / "cloud-init"))


def test_a_rollback_serves_the_previous_release_without_a_build_or_an_upload(host: Any, events: Any) -> None:
    first = _push(host, "one")
    second = _push(host, "two")
    host.calls()

    result = _back(host, report=events)

    assert (result.release, result.previous, result.container_actions) == (first, second, ("recreate api",))
    assert host.calls() == [["up", "--force-recreate", "api"]]
    assert (host.root / "current" / "app" / "server.py").read_text() == "one"
    assert read_status(host.settings()).drift == ()
    assert "smoke test: " in events.text()


def test_models_values_and_images_come_back_as_a_set(host: Any) -> None:
    _push(host, "one", environment={"MODEL_V1_WEIGHT": "90"})
    (host.project / "models" / "model.onnx").write_text("retrained")
    _push(host, "two", environment={"MODEL_V1_WEIGHT": "10"})

    plan = plan_rollback(host.settings())
    _back(host)

    assert plan.differences is not None
    assert plan.differences.split == "10/50 -> 90/50"
    assert plan.differences.data == ("models",)
    env_file = (host.root / "current" / "release.env").read_text()
    assert "MODEL_V1_WEIGHT='90'" in env_file
    models = next(line for line in env_file.splitlines() if line.startswith("ONEBOX_MODELS_DIR"))
    directory = models.split("'")[1]
    assert (host.root / "data" / directory.rsplit("/", 1)[1] / "model.onnx").read_text() == "model"


def test_any_kept_release_can_be_gone_back_to_and_its_images_are_there(host: Any) -> None:
    releases = [_push(host, f"version {number}") for number in range(4)]
    host.calls()

    result = _back(host, releases[0][:8])

    assert result.release == releases[0]
    assert [call[0] for call in host.calls()] == ["up"]
    assert {item.release for item in read_releases(host.settings()).releases} == set(releases)


def test_a_second_rollback_returns_to_where_the_first_one_came_from(host: Any) -> None:
    _push(host, "one")
    second = _push(host, "two")
    _back(host)

    assert _back(host).release == second


def test_a_push_of_the_newer_tree_after_a_rollback_brings_it_back(host: Any) -> None:
    _push(host, "one")
    second = _push(host, "two")
    _back(host)

    result = host.push()

    assert (result.release, result.uploaded_files, result.changed) == (second, 0, True)


def test_the_plan_reads_only(host: Any) -> None:
    _push(host, "one")
    _push(host, "two")
    host.calls()
    before = {path: path.stat().st_mtime_ns for path in host.root.rglob("*")}

    plan = plan_rollback(host.settings())

    assert [str(action) for action in plan.actions] == ["recreate api", "nothing web"]
    assert [item.seconds_without_answer is None for item in plan.services] == [False, True]
    assert plan.services[0].measured
    shown: Any = plan.as_json()
    assert shown["services"][0]["text"] == str(plan.services[0])
    assert {path: path.stat().st_mtime_ns for path in host.root.rglob("*")} == before
    assert host.calls() == []


def test_a_host_that_moved_since_the_plan_was_shown_is_left_alone(host: Any) -> None:
    _push(host, "one")
    _push(host, "two")
    plan = plan_rollback(host.settings())
    third = _push(host, "three")
    host.calls()

    with pytest.raises(HostMoved, match="nothing was changed"):
        roll_back(host.settings(), plan, run_dir=str(host.home / "cloud-init"))

    assert host.calls() == []
    assert (host.root / "current").readlink().name == third


def test_a_release_that_does_not_come_up_any_more_leaves_what_served_before(host: Any) -> None:
    first = _push(host, "one")
    second = _push(host, "two")
    manifest = json.loads((host.root / "releases" / first / "manifest.json").read_text())
    (host.docker / "unhealthy").write_text(manifest["services"]["api"]["digest"])

    with pytest.raises(UnhealthyRelease, match=f"the previous release {second[:12]} serves again") as caught:
        _back(host)

    assert (caught.value.restored, caught.value.exit_code) == (second, 3)
    assert caught.value.log_tail[-1] == "line 79 of api"
    assert (host.root / "current").readlink().name == second
    assert host.state()["containers"]["api"]["health"] == "healthy"
    assert read_status(host.settings()).drift == ()
    assert read_audit(host.settings()).entries[-1].result == "unhealthy"


def test_files_of_the_release_that_were_tampered_with_are_repaired_from_the_host(host: Any) -> None:
    first = _push(host, "one")
    _push(host, "two")
    (host.root / "releases" / first / "ui" / "page.py").write_text("evil")

    _back(host)

    assert (host.root / "current" / "ui" / "page.py").read_text() == "print('web')\n"


def test_a_release_whose_files_are_gone_is_refused(host: Any) -> None:
    first = _push(host, "one")
    _push(host, "two")
    (host.root / "releases" / first / "app" / "server.py").unlink()

    with pytest.raises(HostError, match=f"1 files of the release {first[:12]} are missing"):
        plan_rollback(host.settings())


@pytest.mark.parametrize("wanted", ["ffff", None])
def test_a_release_that_there_is_not_changes_nothing(host: Any, wanted: str | None) -> None:
    _push(host, "one")
    host.calls()

    with pytest.raises(SettingsError):
        plan_rollback(host.settings(), wanted)

    assert host.calls() == []


def test_a_pruned_release_is_refused_by_name(host: Any) -> None:
    releases = [_push(host, f"version {number}", keep_releases=2) for number in range(3)]

    with pytest.raises(SettingsError, match=f"the release {releases[0][:12]} was pruned"):
        plan_rollback(host.settings(), releases[0])


def test_a_held_host_refuses_a_rollback(host: Any) -> None:
    _push(host, "one")
    _push(host, "two")
    settings = host.settings()
    plan = plan_rollback(settings)
    from provisioning.deadline import Deadline
    from provisioning.host.store import Store
    from provisioning.ssh import connect

    with connect(settings.target) as connection:
        store = Store(connection, settings.remote_root, settings.project_name)
        with (
            hold(store, Deadline(30), what="test"),
            pytest.raises(Locked, match="test, since"),
        ):
            roll_back(settings, plan, run_dir=str(host.home / "cloud-init"))


def test_a_rollback_is_in_the_log_and_in_the_list(host: Any) -> None:
    first = _push(host, "one")
    second = _push(host, "two")
    _back(host)

    entry = read_audit(host.settings()).entries[-1]
    kept = read_releases(host.settings())

    assert (entry.what, entry.release, entry.result) == ("rollback", first, "ok")
    assert entry.detail == f"from {second[:12]}: recreate api"
    assert kept.current is not None
    assert (kept.current.release, kept.current.what, kept.current.before) == (first, "rollback", second)

"""What is no longer what was pushed is put right, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.host.drift import read_status
from provisioning.release.release import read_release

pytestmark = pytest.mark.process


def test_a_tampered_file_is_repaired_and_nothing_else_is_done(host: Any) -> None:
    first = host.push()
    host.calls()
    tampered = host.root / "current" / "ui" / "page.py"
    tampered.write_text("evil")
    added = host.root / "current" / "ui" / "extra.py"
    added.write_text("evil")
    assert sorted(line.split(": ")[1] for line in read_status(host.settings()).drift) == [
        "added ui/extra.py",
        "changed ui/page.py",
    ]

    result = host.push()

    assert (result.release, result.uploaded_files, host.calls()) == (first.release, 1, [])
    assert tampered.read_text() == "print('web')\n"
    assert not added.exists()
    assert read_status(host.settings()).drift == ()


def test_tampered_models_are_repaired_from_the_host_and_their_service_is_recreated(host: Any) -> None:
    host.push()
    host.calls()
    model = next(host.root.glob("data/*/model.onnx"))
    model.write_text("evil")

    result = host.push()

    assert (result.uploaded_files, host.calls()) == (0, [["up", "--force-recreate", "api"]])
    assert model.read_text() == "model"


def test_a_moved_current_link_is_drift_and_is_put_right(host: Any) -> None:
    first = host.push()
    (host.project / "ui" / "page.py").write_text("second")
    host.push()
    (host.root / "current").unlink()
    (host.root / "current").symlink_to(f"releases/{first.release}")
    assert any("current points to" in line for line in read_status(host.settings()).drift)

    host.push()

    assert read_status(host.settings()).drift == ()


@pytest.mark.parametrize(
    ("change", "drift", "action"),
    [
        ({"state": "exited"}, "api: its container is exited", "start api"),
        ({"digest": "other"}, "api: it changed", "recreate api"),
        ({"image": "busybox"}, "api: it runs another image", "recreate api"),
        ({"health": "unhealthy"}, "api: it is unhealthy", "recreate api"),
        (None, "api: it has no container", "recreate api"),
    ],
)
def test_a_container_that_differs_is_drift_and_is_put_right(
    host: Any, change: dict[str, str] | None, drift: str, action: str
) -> None:
    host.push()
    state = host.state()
    if change is None:
        del state["containers"]["api"]
    else:
        state["containers"]["api"].update(change)
    (host.docker / "state.json").write_text(json.dumps(state))
    assert read_status(host.settings()).drift == (drift,)

    assert host.push().container_actions == (action,)
    assert read_status(host.settings()).drift == ()


def test_a_half_made_release_directory_is_made_again(host: Any) -> None:
    digest = read_release(host.project, {}).digest
    half = host.root / "releases" / digest
    half.mkdir(parents=True)
    (half / "app").mkdir()

    host.push()

    assert read_status(host.settings()).drift == ()

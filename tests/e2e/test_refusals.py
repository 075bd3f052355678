"""What is wrong is said in one sentence with its cure, before anything is touched; what can heal by itself does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import MINUTE, STACK, changed
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Checkout

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("sshCidrs[0]", "10.0.0.1/8", "has host bits set"),
        ("instanceType", "t3.mediun", "did you mean t3.medium?"),
        ("sshPrivateKeyFile", "nowhere", "there is no file"),
    ],
)
def test_a_bad_value_is_refused_before_the_engine_acts(
    rehearsal: Checkout, key: str, value: str, sentence: str
) -> None:
    file = rehearsal.root / f"Pulumi.{STACK}.yaml"
    containers = rehearsal.containers()
    with changed(file, file.read_text()):
        rehearsal.do("pulumi", "config", "set", "--stack", STACK, "--path", f"onebox:{key}", value)
        refused = rehearsal.run(
            "pulumi", "up", "--stack", STACK, "--non-interactive", "--yes", "--skip-preview"
        )
    assert refused.returncode != 0
    assert sentence in refused.stdout + refused.stderr
    assert "updated" not in refused.stdout
    assert rehearsal.containers() == containers


def test_two_weights_of_zero_are_refused_before_the_engine_acts(rehearsal: Checkout) -> None:
    file = rehearsal.root / f"Pulumi.{STACK}.yaml"
    with changed(file, file.read_text()):
        for arm in ("1", "2"):
            rehearsal.do("pulumi", "config", "set", "--stack", STACK, f"onebox:modelV{arm}Weight", "0")
        refused = rehearsal.run("pulumi", "preview", "--stack", STACK, "--non-interactive")
    assert refused.returncode != 0
    assert "no model would answer" in refused.stdout + refused.stderr


def test_a_local_cloud_that_died_is_named_with_its_cure_and_make_up_heals_it(rehearsal: Checkout) -> None:
    containers = rehearsal.containers()
    rehearsal.do("python", "-m", "infra.local", "stop", "--name", STACK)
    refused = rehearsal.run(
        "pulumi", "refresh", "--stack", STACK, "--non-interactive", "--yes", "--skip-preview"
    )
    assert refused.returncode != 0
    assert "does not answer" in refused.stdout + refused.stderr
    assert "make up" in refused.stdout + refused.stderr
    rehearsal.do("make", "up")
    assert rehearsal.containers() == containers


def test_a_docker_that_does_not_answer_is_one_sentence(rehearsal: Checkout) -> None:
    refused = rehearsal.run(
        "python", "-m", "infra.local", "start", "--name", STACK, DOCKER_HOST="unix:///nowhere/docker.sock"
    )
    assert refused.returncode == 1
    assert "Docker" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_engine_cache_that_is_half_written_is_made_anew(rehearsal: Checkout, tmp_path: Path) -> None:
    engine = (rehearsal.root / ".onebox" / "engine").resolve()
    if "onebox/engine" not in str(engine):
        pytest.skip("the engine of this machine is the user's own, so there is no cache to break")
    version = engine.parent.name
    cache = tmp_path / "onebox" / "engine"
    shutil.copytree(engine.parent, cache / version)
    with (cache / version / "bin" / "pulumi").open("r+b") as file:
        file.truncate(1000)
    (cache / f"{version}.partial.1").mkdir()
    other = tmp_path / "checkout"
    shutil.copytree(rehearsal.root / "tools", other / "tools")
    (other / ".venv").symlink_to((rehearsal.root / ".venv").resolve())
    elsewhere = [part for part in os.environ["PATH"].split(":") if "onebox/engine" not in part]
    done = subprocess.run(
        [str(other / "tools" / "engine.sh")],
        env={
            **rehearsal.environment,
            "PATH": ":".join(elsewhere),
            "XDG_CACHE_HOME": str(tmp_path),
            # What Go has compiled before is not what this is about.
            "GOCACHE": os.environ.get("GOCACHE", str(Path.home() / ".cache" / "go-build")),
        },
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "v3."
        in subprocess.run(
            [str(other / ".onebox" / "engine" / "pulumi"), "version"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    assert not list(cache.glob("*.partial.*"))


def test_a_tree_that_changes_after_the_preview_is_not_pushed(rehearsal: Checkout) -> None:
    before = rehearsal.outputs()["release"]
    page = rehearsal.root / "ui" / "streamlit_app.py"
    records = rehearsal.root / ".onebox" / "pulumi" / "onebox"
    with changed(page, page.read_text() + "# shown\n"):
        up = subprocess.Popen(
            ["bash", "-c", f". tools/env.sh && exec pulumi up --stack {STACK} --yes --non-interactive"],
            cwd=rehearsal.root,
            env=rehearsal.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(lambda: list(records.glob(f"onebox-{STACK}-{up.pid}.*")), 2 * MINUTE)
            page.write_text(page.read_text() + "# changed since\n")
            said, _ = up.communicate(timeout=5 * MINUTE)
        finally:
            up.kill()

    assert up.returncode != 0
    assert "the preview showed the release" in said
    assert "nothing was changed. Run `pulumi up` again" in said
    assert rehearsal.outputs()["release"] == before

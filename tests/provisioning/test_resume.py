"""A push that is killed at any point leaves old or new serving, and the next one finishes or cleans up."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provisioning.host.drift import read_status
from provisioning.host_errors import BuildFailed
from provisioning.release.release import read_release

pytestmark = pytest.mark.process

CLIENT = """
import json, sys
from pathlib import Path
from provisioning.deploy.push import push_release
from provisioning.config.settings import PushSettings, Target

spec = json.loads(sys.argv[1])
target = Target("127.0.0.1", "admin", Path(spec["key"]), (spec["host_key"],), spec["port"])
settings = PushSettings(
    target, Path(spec["project"]), remote_root=spec["root"], open_ports=frozenset({22}),
    deadline_seconds=60, min_free_bytes=0, wait_seconds=5,
)
push_release(settings, run_dir=spec["run_dir"])
"""


def entries(host: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (host.root / "journal.jsonl").read_text().splitlines()]


def lines(host: Any) -> int:
    return int((host.root / "journal.jsonl").read_bytes().count(b"\n"))


def start_client(host: Any) -> subprocess.Popen[bytes]:
    spec = {
        "key": str(host.target.private_key_file),
        "host_key": host.host_key,
        "port": host.target.port,
        "project": str(host.project),
        "root": str(host.root),
        "run_dir": str(host.home / "cloud-init"),
    }
    return subprocess.Popen([sys.executable, "-c", CLIENT, json.dumps(spec)], stderr=subprocess.PIPE)


def killed_after_line(host: Any, count: int) -> bool:
    """Start a push and kill it as soon as the journal has so many new lines; False when it came to its end."""
    before = lines(host)
    client = start_client(host)
    while client.poll() is None and lines(host) - before < count:
        time.sleep(0.001)
    client.kill()
    _, said = client.communicate()
    assert client.returncode in (0, -9), said.decode()
    return client.returncode == -9


def wait_until_free(root: Path) -> None:
    """Until the lock and the last step of a push that is gone have ended."""
    for name in ("push.lock", "steps.lock"):
        with (root / name).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def test_every_step_is_in_the_journal_before_and_after(host: Any) -> None:
    host.push()

    steps = [(entry.get("step"), entry.get("state")) for entry in entries(host)[:-1]]
    names = ["upload", "publish", "the image build", "build+recreate api", "build+recreate web"]
    assert steps == [
        ("push", "begin"),
        *[(name, state) for name in names for state in ("begin", "end")],
    ]
    assert all(entry["status"] == 0 for entry in entries(host) if entry.get("state") == "end")
    assert len({entry["push"] for entry in entries(host)}) == 1
    assert (entries(host)[-1]["result"], entries(host)[0]["what"]) == ("ok", "push")


def test_a_client_killed_after_each_line_of_the_journal_leaves_old_or_new_and_the_next_push_ends_it(
    host: Any,
) -> None:
    host.push()
    rounds = 0
    while True:
        old = read_release(host.project, {})
        (host.project / "app" / "server.py").write_text(f"print({rounds})\n")
        (host.project / "ui" / "page.py").write_text(f"print({rounds})\n")
        new = read_release(host.project, {})
        killed = killed_after_line(host, rounds + 1)
        wait_until_free(host.root)

        for name, container in host.state()["containers"].items():
            assert container["digest"] in (old.services[name].digest, new.services[name].digest)
            assert (container["state"], container["health"]) == ("running", "healthy")
        assert (host.root / "current").readlink().name in (old.digest, new.digest)

        host.push()
        status = read_status(host.settings())
        assert (status.release, status.drift) == (new.digest, ())
        assert not (host.root / "incoming").exists()
        assert not [path for path in host.root.rglob("*") if path.name.endswith((".partial", ".new"))]
        running = {item["digest"] for item in host.state()["containers"].values()}
        assert running == {record.digest for record in new.services.values()}
        if not killed:
            break
        rounds += 1
    print(f"{rounds} of {rounds} kills: old or new served, and the next push finished")
    # One for each line but the last: when that is written, the push may already be over.
    assert rounds >= 11


def test_what_a_broken_off_push_left_is_drift_and_is_removed_even_when_nothing_else_is_to_do(
    host: Any,
) -> None:
    host.push()
    for name in (
        "incoming/a.tar.gz.part-1",
        "releases/abc.partial/x",
        "data/abc.partial/x",
        "releases/abd/x",
    ):
        (host.root / name).parent.mkdir(parents=True, exist_ok=True)
        (host.root / name).write_text("half")
    begun = {
        "push": "p1",
        "step": "push",
        "state": "begin",
        "what": "push",
        "who": "ann@laptop",
        "release": "r",
    }
    with (host.root / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(begun) + "\n" + json.dumps({"push": "p1", "step": "upload"}) + "\n{cut")
    assert sorted(read_status(host.settings()).drift) == [
        "a push was interrupted in: upload",
        "left by an unfinished push: data/abc.partial",
        "left by an unfinished push: incoming/a.tar.gz.part-1",
        "left by an unfinished push: releases/abc.partial",
        "left by an unfinished push: releases/abd",
    ]
    host.calls()

    result = host.push()

    assert result.warnings == ("the push of ann@laptop was interrupted in: upload; continuing",)
    assert (result.uploaded_bytes, host.calls()) == (0, [])
    assert read_status(host.settings()).drift == ()
    assert entries_that_parse(host)[-1]["result"] == "ok"
    assert not host.push().changed


def entries_that_parse(host: Any) -> list[dict[str, Any]]:
    text = (host.root / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in text if line.endswith("}")]


def test_a_push_that_failed_before_it_touched_a_service_is_ended_in_the_journal(host: Any) -> None:
    host.push()
    (host.project / "ui" / "page.py").write_text("new")
    (host.docker / "broken-build").write_text("web")

    with pytest.raises(BuildFailed):
        host.push()

    assert entries(host)[-1]["result"] == "failed"
    assert read_status(host.settings()).drift == ()


def test_the_journal_does_not_grow_for_ever(host: Any) -> None:
    host.push()
    line = json.dumps({"push": "old", "step": "upload", "state": "end"}) + "\n"
    with (host.root / "journal.jsonl").open("a") as journal:
        journal.write(line * 9000)
    (host.project / "ui" / "page.py").write_text("new")

    host.push()

    assert lines(host) == 4000
    assert read_status(host.settings()).drift == ()

"""Rows F7 and F8: a client that is killed after any line of the journal, and eight that push at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.release.release import read_release
from tests.e2e.faults.figures import dice, figure, rounds
from tests.e2e.faults.small import RUN, Small, client_spec
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

CLIENT = Path(__file__).parent / "client.py"
RACERS = 8


class Client:
    """A process of its own that pushes when it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CLIENT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def push(self, spec: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(spec + "\n")
        self.process.stdin.flush()

    def outcome(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the client ended without a word"
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def clients(count: int) -> Iterator[list[Client]]:
    made = [Client() for _ in range(count)]
    try:
        yield made
    finally:
        for client in made:
            client.end()


def forget(small: Small, release: str, keep: str) -> None:
    """Take a release off the host as if it had never been there; it is not the one that serves."""
    small.host.sh(
        f"""
        cd {small.root}
        rm -rf releases/{release}
        kept=$(cat releases/{keep}/manifest.json)
        for folder in data/*; do
          case "$kept" in *$(basename $folder)*) ;; *) rm -rf $folder ;; esac
        done
        for image in $(docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep '^{small.name}/'); do
          case "$kept" in *"$image"*) ;; *) docker image rm $image >/dev/null ;; esac
        done
        """
    )


def killed_after(small: Small, spec: str, lines: int) -> int:
    """Push in a process of its own and kill it when the journal has so many new lines; how many it wrote."""
    journal = f"{small.root}/journal.jsonl"
    watch = small.host.start("sh", "-c", f"echo $$; exec tail --lines=0 --follow {journal}")
    assert watch.stdout
    pid = watch.stdout.readline().strip()
    seen: list[str] = []
    with clients(1) as (client,):
        enough, over = threading.Event(), threading.Event()

        def read() -> None:
            for line in watch.stdout or ():
                seen.append(line)
                if len(seen) >= lines:
                    enough.set()

        def wait() -> None:
            if client.process.stdout and client.process.stdout.readline():
                over.set()
                enough.set()

        reader = threading.Thread(target=read, daemon=True)
        waiter = threading.Thread(target=wait, daemon=True)
        reader.start()
        waiter.start()
        client.push(spec)
        assert enough.wait(120)
        client.process.kill()
        waiter.join(10)
    small.wait_until_free()
    small.host.inside("kill", pid)
    reader.join(10)
    watch.communicate(timeout=10)
    return len(seen)


@pytest.mark.timeout(1800)
def test_f7_a_client_killed_after_any_line_of_the_journal_leads_to_the_same_end(
    small_project: Callable[[str], Small],
) -> None:
    small = small_project("killed")
    old = small.push().release
    new_tree = small.project.with_name("killed-new")
    subprocess.run(["cp", "-r", str(small.project), str(new_tree)], check=True)
    for service in ("first", "second"):
        (new_tree / service / "run.sh").write_text(f"# new\n{RUN}")
    (new_tree / "blobs" / "big").write_bytes(dice("F7").randbytes(1 << 16))
    new = read_release(new_tree, {}).digest
    new_small = replace(small, project=new_tree)

    new_small.push()
    wanted = new_small.state()
    small.push()
    forget(small, new, old)
    spec = client_spec(new_small.settings())
    total = killed_after(small, spec, 10**6)
    assert new_small.state() == wanted, "the same push, not killed"

    points = range(1, total + 1)
    count = rounds(len(points), 2)
    tried = sorted(dice("F7").sample(points, count))
    for point in tried:
        small.push()
        forget(small, new, old)
        killed_after(small, spec, point)
        assert small.host.healthy(small.name), point
        assert small.current() in (old, new), point
        new_small.push()
        assert new_small.state() == wanted, point
        assert new_small.status().drift == ()
    figure(
        "F7",
        f"client killed after line {', '.join(map(str, tried))} of {total} of the journal: old or new served, next "
        f"push finished, same end state {new_small.state_hash()} {count} of {count}",
    )


@pytest.mark.timeout(3600)
def test_f8_of_eight_that_push_at_once_one_does_and_seven_are_told_who(
    small_project: Callable[[str], Small],
) -> None:
    small = small_project("race")
    trees = []
    # A container gets healthy when the test says so: nobody wins a second time because another was quick.
    held = RUN.replace("touch /tmp/ready\n", "")
    for number in range(RACERS):
        folder = small.project.with_name(f"race-{number}")
        subprocess.run(["cp", "-r", str(small.project), str(folder)], check=True)
        trees.append(replace(small, project=folder))
    small.push()
    count, pushed = rounds(50, 1), 0
    with clients(RACERS) as racers:
        for turn in range(count):
            for number, tree in enumerate(trees):
                tree.write("first/run.sh", f"# {number} in turn {turn}\n{held}")
            specs = [client_spec(tree.settings()) for tree in trees]
            wanted = [read_release(tree.project, {}).digest for tree in trees]
            outcomes: dict[int, dict[str, Any]] = {}

            def collect(number: int, outcomes: dict[int, dict[str, Any]] = outcomes) -> None:
                outcomes[number] = racers[number].outcome()

            readers = [threading.Thread(target=collect, args=(number,)) for number in range(RACERS)]
            for number in range(RACERS):
                racers[number].push(specs[number])
            for reader in readers:
                reader.start()
            wait_until(lambda found=outcomes: len(found) >= RACERS - 1, 60, "seven were told")  # type: ignore[misc]
            while any(reader.is_alive() for reader in readers):
                make_ready(small)
                time.sleep(0.2)

            (winner,) = [number for number, outcome in outcomes.items() if outcome["exit"] == 0]
            losers = [outcome for number, outcome in outcomes.items() if number != winner]
            assert len(losers) == RACERS - 1
            for outcome in losers:
                assert outcome["exit"] == 4, outcome
                assert f"(pid {racers[winner].process.pid})" in outcome["error"], outcome
            assert small.current() == wanted[winner]
            pushed += 1
    figure(
        "F8",
        f"{RACERS} pushes at once: 1 did and {RACERS - 1} were told who holds the host, {pushed} of {count} rounds",
    )


def make_ready(small: Small) -> None:
    """Let the containers that are being started get healthy."""
    starting = f"docker ps -q --filter label=com.docker.compose.project={small.name} --filter health=starting"
    # The one that is looked at may be replaced just now.
    small.host.sh(f"for id in $({starting}); do docker exec $id touch /tmp/ready || true; done", check=False)

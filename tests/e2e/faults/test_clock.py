"""Row F23: clocks that are an hour off, jump in the middle of a push, or change to winter time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provisioning.host.audit import read_audit
from provisioning.host.history import read_releases
from tests.e2e.faults.figures import FULL, figure
from tests.e2e.faults.small import At, client_spec

if TYPE_CHECKING:
    from tests.e2e.faults.real_host import RealHost
    from tests.e2e.faults.small import Small

pytestmark = pytest.mark.e2e

CLIENT = Path(__file__).parent / "client.py"
WRAPPER = "/usr/local/bin/python3"
OFFSET = "/run/faults-clock"
# The containers of the rehearsal share their machine's clock, so each program is shown another one.
CLOCK = f"""#!/bin/sh
exec env FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f "$(cat {OFFSET})" /usr/bin/python3 "$@"
"""


@pytest.fixture
def clock(host: RealHost) -> Iterator[Callable[[str], None]]:
    """clock(offset): every Python script that runs on the host from now on sees a clock that is so far off."""
    assert shutil.which("faketime"), "make test installs it as root on Debian"
    host.inside("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "faketime", seconds=300)

    def put(offset: str) -> None:
        host.inside("sh", "-c", f"cat > {OFFSET}", given=offset)

    put("+0")
    host.inside("sh", "-c", f"cat > {WRAPPER} && chmod 755 {WRAPPER}", given=CLOCK)
    yield put
    host.inside("rm", "-f", WRAPPER, OFFSET)


def pushed_by_a_client_at(time: str, zone: str, spec: str) -> dict[str, Any]:
    """The outcome of a push by a client whose clock shows something else."""
    done = subprocess.run(
        ["faketime", "-f", time, sys.executable, str(CLIENT)],
        input=spec + "\n",
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, "TZ": zone, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
    )
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def test_f23_no_clock_changes_what_a_push_does_or_the_order_of_releases(
    small_project: Callable[[str], Small], host: RealHost, clock: Callable[[str], None]
) -> None:
    small = small_project("clock")
    pushes: list[str] = []

    def new_release(name: str) -> None:
        small.write("blobs/one", f"{name}\n")

    def keep(release: str) -> None:
        pushes.append(release)
        status = small.status()
        assert (status.release, status.drift) == (release, ())

    new_release("both clocks right")
    keep(small.push().release)
    for offset in ("+1h", "-1h") if FULL else ("-1h",):
        clock(offset)
        new_release(f"host {offset}")
        keep(small.push().release)
    clock("+1h")
    new_release("host jumps back in the middle")
    jump = At("recreate first", lambda: clock("-1h"))
    keep(small.push(jump).release)
    assert jump.reached
    clock("+0")
    # The last one crosses the end of summer time while it runs.
    clients = [("+1h", "UTC"), ("-1h", "UTC"), ("@2026-10-25 02:59:58", "Europe/Berlin")]
    for time, zone in clients if FULL else clients[1:]:
        new_release(f"client {time} {zone}")
        outcome = pushed_by_a_client_at(time, zone, client_spec(small.settings()))
        assert outcome["exit"] == 0, outcome
        assert 0 <= outcome["seconds"] < 60
        keep(outcome["release"])

    kept = read_releases(small.settings()).releases
    assert [item.release for item in kept] == pushes[: -len(kept) - 1 : -1]
    assert len(kept) == small.settings().keep_releases
    assert [item.previous for item in kept] == [False, True] + [False] * (len(kept) - 2)
    assert all(item.age_seconds >= 0 for item in kept)
    journal = host.sh(f"cat {small.root}/journal.jsonl").splitlines()
    lasted = [entry["seconds"] for entry in map(json.loads, journal) if "seconds" in entry]
    lasted += [entry.seconds for entry in read_audit(small.settings()).entries]
    assert len(lasted) > 5 * len(pushes)
    assert all(0 <= seconds < 60 for seconds in lasted)
    figure(
        "F23",
        f"host and client clock {'+1 h, ' if FULL else ''}-1 h, a jump of 2 h in the middle, end of summer time: "
        f"{len(pushes)} of {len(pushes)} pushes right, releases in the order of the pushes, "
        f"0 of {len(lasted)} durations negative",
    )

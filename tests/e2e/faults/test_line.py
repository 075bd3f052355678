"""Rows F4 to F6: the line breaks in the upload, packets vanish, sessions are ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from provisioning.errors import ProvisioningError
from provisioning.host_errors import ConnectionLost
from tests.e2e.faults.figures import dice, figure, rounds
from tests.e2e.faults.real_host import BLACKHOLE, RESET, RealHost
from tests.e2e.faults.small import RUN, At, Small
from tests.link import Link

if TYPE_CHECKING:
    import random

pytestmark = pytest.mark.e2e

STEPS = ("observe the host", "upload", "publish", "build", "recreate first", "verify")
NOTICED_SECONDS = 20.0


@pytest.mark.timeout(900)
def test_f4_a_line_cut_anywhere_in_the_upload_leaves_the_old_release_and_the_next_push_goes_on(
    small_project: Callable[[str], Small], host: RealHost
) -> None:
    small = small_project("cut")
    draw = dice("F4")
    small.push()
    count, resumed, points = rounds(20, 3), 0, []
    for _ in range(count):
        release, ids = small.current(), small.ids()
        content = draw.randbytes(1 << 20)
        small.write("blobs/big", content)
        point = draw.randrange(1, len(content))
        points.append(point)
        with Link(host.address, 22) as link:
            cut = At("upload", partial(link.cut_after, point, reset=draw.random() < 0.5))
            with pytest.raises(ConnectionLost) as lost:
                small.push(cut, small.through(link.port))
            assert cut.reached
            assert link.cut
        assert "upload" in str(lost.value)
        assert small.current() == release
        assert small.ids() == ids

        result = small.push()
        assert result.release == small.current() != release
        resumed += result.uploaded_bytes < len(content)
        assert small.parts() == []
        assert small.status().drift == ()
    figure(
        "F4",
        f"link cut at byte {min(points)} to {max(points)} of 1 MiB: old release untouched {count} of {count}, next "
        f"push done {count} of {count} ({resumed} went on where the cut was), 0 parts left",
    )


def lost_at(small: Small, step: str, act: Callable[[], Any]) -> tuple[ProvisioningError, float]:
    """A push whose line goes at the beginning of a step: its error, and the seconds until it was noticed."""
    began: list[float] = []

    def go() -> None:
        began.append(time.monotonic())
        act()

    at = At(step, go)
    with pytest.raises(ProvisioningError) as error:
        small.push(at)
    assert at.reached, at.steps
    return error.value, time.monotonic() - began[0]


def changed(small: Small, draw: random.Random) -> None:
    """The first service is to be built and recreated, and takes a while to get healthy."""
    mark = draw.randbytes(8).hex()
    small.write("first/run.sh", f"# {mark}\nsleep 1\n{RUN}")
    small.write("blobs/big", draw.randbytes(1 << 18))


def is_old_or_new(small: Small, old: str) -> None:
    """Nothing between two releases serves: each container is one that was asked for, and healthy."""
    small.wait_until_free()
    assert small.host.healthy(small.name)
    assert small.current() == old


@pytest.mark.timeout(3600)
def test_f5_a_host_that_falls_silent_is_noticed_and_the_step_is_named(
    small_project: Callable[[str], Small], host: RealHost
) -> None:
    small = small_project("silent")
    draw = dice("F5")
    small.push()
    count, slowest = rounds(20, 1), 0.0
    steps = [draw.choice(STEPS) for _ in range(count)]
    for step in steps:
        changed(small, draw)
        release = small.current()
        hole = host.filtered(BLACKHOLE)
        try:
            error, took = lost_at(small, step, hole.__enter__)
        finally:
            hole.__exit__(None, None, None)
        slowest = max(slowest, took)
        assert took <= NOTICED_SECONDS, step
        assert isinstance(error, ConnectionLost), error
        assert error.exit_code == 1
        assert error.step, error
        is_old_or_new(small, release)
        assert small.push().release == small.current()
        assert small.status().drift == ()
    figure(
        "F5",
        f"packets vanish during {', '.join(sorted(set(steps)))}: noticed {count} of {count}, after {slowest:.1f} s at "
        f"most, exit code 1, next push done {count} of {count}",
    )


@pytest.mark.timeout(3600)
def test_f6_a_reset_or_an_ended_session_is_noticed_at_once_and_the_next_push_goes_on(
    small_project: Callable[[str], Small], host: RealHost
) -> None:
    small = small_project("reset")
    draw = dice("F6")
    small.push()
    count, slowest = rounds(20, 2), {"reset": 0.0, "session": 0.0}
    for number in range(count):
        step = draw.choice(STEPS)
        changed(small, draw)
        release = small.current()
        if number % 2:
            kind = "session"
            error, took = lost_at(small, step, lambda: end_session(host))
        else:
            kind = "reset"
            rules = host.filtered(RESET)
            try:
                error, took = lost_at(small, step, rules.__enter__)
            finally:
                rules.__exit__(None, None, None)
        slowest[kind] = max(slowest[kind], took)
        assert isinstance(error, ConnectionLost), error
        assert took <= NOTICED_SECONDS
        is_old_or_new(small, release)
        assert small.push().release == small.current()
        assert small.status().drift == ()
    figure(
        "F6",
        f"connection reset (noticed after {slowest['reset']:.1f} s at most) or sshd session killed "
        f"({slowest['session']:.1f} s): next push done {count} of {count}",
    )


def end_session(host: RealHost) -> None:
    """kill -9 to every sshd process that serves somebody who is logged in."""
    host.sh(
        f"""
        sessions=$(pgrep -f '^sshd(-session)?: {host.target.user}' || true)
        test -n "$sessions"
        kill -9 $sessions
        """
    )

"""A build that failed shows what its command printed, not how the command was written."""

from __future__ import annotations

from provisioning.deploy.rollout import BUILD_LOG_LINES, build_error

LOG = """\
#8 [flask-api 4/7] RUN pip install
#8 0.281 Collecting flask
#8 ERROR: process "/bin/sh -c pip install" did not complete successfully: exit code: 2
------
 > [flask-api 4/7] RUN pip install:
0.281 Collecting flask
0.391 ERROR: no matching distribution
------
failed to solve: process "/bin/sh -c pip install" did not complete successfully: exit code: 2
"""


def test_the_lines_of_the_failed_command_are_shown_without_their_clock() -> None:
    assert build_error(LOG) == ("Collecting flask", "ERROR: no matching distribution")


def test_a_log_without_a_frame_gives_its_end() -> None:
    assert build_error("one\n\ntwo\n") == ("one", "two")


def test_a_command_that_said_nothing_leaves_the_end_of_the_log() -> None:
    silent = "#8 ERROR: exit 1\n------\n > RUN false:\n------\nfailed to solve: exit 1\n"
    assert build_error(silent)[-1] == "failed to solve: exit 1"


def test_a_long_log_is_cut_to_its_end() -> None:
    tail = build_error("\n".join(map(str, range(100))))
    assert len(tail) == BUILD_LOG_LINES
    assert tail[-1] == "99"

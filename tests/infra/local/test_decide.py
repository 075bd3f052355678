"""The step that brings one instance to where it should be."""

from __future__ import annotations

import pytest

from infra.local.instances.instance import Container
from infra.local.instances.reconcile import REBOOT_EXIT_CODE, Step, decide

UP = Container("i-1", True, 0, "now")
OFF = Container("i-1", False, 130, "then")
REBOOTED = Container("i-1", False, REBOOT_EXIT_CODE, "then")


@pytest.mark.parametrize(
    ("wanted", "seen", "settled", "step"),
    [
        ("running", None, None, Step.CREATE),
        ("running", UP, "running", Step.REFRESH),
        ("running", OFF, "stopped", Step.START),
        ("running", OFF, None, Step.START),
        ("running", OFF, "running", Step.HALTED),
        ("running", REBOOTED, "running", Step.START),
        ("running", None, "running", Step.LOST),
        ("stopped", UP, "running", Step.STOP),
        ("stopped", OFF, "stopped", Step.NOTHING),
        ("stopped", None, "stopped", Step.LOST),
        ("terminated", UP, "running", Step.REMOVE),
        ("terminated", OFF, "stopped", Step.REMOVE),
        ("terminated", None, None, Step.NOTHING),
        (None, UP, None, Step.REMOVE),
    ],
)
def test_every_situation_has_its_step(
    wanted: str | None, seen: Container | None, settled: str | None, step: Step
) -> None:
    assert decide(wanted, seen, settled) is step


def test_a_reboot_that_was_asked_for_restarts_a_running_instance() -> None:
    assert decide("running", UP, "running", reboot=True) is Step.RESTART


def test_what_ran_before_a_power_cut_runs_after_it() -> None:
    assert decide("running", OFF, "running", power_back=True) is Step.START
    assert decide("stopped", OFF, "stopped", power_back=True) is Step.NOTHING

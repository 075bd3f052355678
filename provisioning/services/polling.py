"""Repeat a check with backoff until it passes or its time is over."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass

from provisioning.deadline import Deadline
from provisioning.decode import WrongShape
from provisioning.errors import ServiceFailure
from provisioning.host_errors import Unreachable
from provisioning.services.client import NotYet

PASSING = (NotYet, WrongShape, OSError, http.client.HTTPException, Unreachable)
"""Errors that the next attempt may not meet."""


@dataclass(frozen=True)
class Backoff:
    """Pauses in seconds: the first, the longest, and the factor from one to the next."""

    first: float
    longest: float
    factor: float


def poll(
    check: Callable[[], None],
    service: str,
    deadline: Deadline,
    timeout: float,
    backoff: Backoff,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Repeat a check of a service until it passes, for `timeout` seconds and never beyond the deadline.

    Raises ServiceFailure with the reason of the last attempt, and at once the one that the check raises.
    """
    ends = deadline.waited + min(timeout, deadline.left)
    pause = backoff.first
    while True:
        try:
            return check()
        except PASSING as error:
            reason = str(error) or type(error).__name__
        if deadline.waited >= ends:
            raise ServiceFailure(service, reason)
        sleep(pause)
        pause = min(pause * backoff.factor, backoff.longest)

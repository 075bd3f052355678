"""Progress events of a push; a terminal, the engine and Jenkins each show them in their own form."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class StepStarted:
    """A step started."""

    step: str

    def __str__(self) -> str:
        return f"{self.step} …"


@dataclass(frozen=True)
class StepProgress:
    """A line of a step's output, for example of an image build."""

    step: str
    line: str

    def __str__(self) -> str:
        return f"{self.step}: {self.line}"


@dataclass(frozen=True)
class StepFinished:
    """A step succeeded."""

    step: str
    seconds: float
    detail: str

    def __str__(self) -> str:
        return f"{self.step}: {self.detail or 'done'} ({self.seconds:.1f} s)"


@dataclass(frozen=True)
class StepFailed:
    """A step failed."""

    step: str
    seconds: float
    detail: str

    def __str__(self) -> str:
        return f"{self.step} failed after {self.seconds:.1f} s: {self.detail}"


@dataclass(frozen=True)
class WarningGiven:
    """A problem that does not stop the push, but that users should know."""

    text: str

    def __str__(self) -> str:
        return f"warning: {self.text}"


Event = StepStarted | StepProgress | StepFinished | StepFailed | WarningGiven
Report = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Drop the event."""


def masked(report: Report, mask: Callable[[str], str]) -> Report:
    """Return a report that passes each event on with `mask` applied to its texts."""

    def show(event: Event) -> None:
        texts = {item.name: getattr(event, item.name) for item in fields(event)}
        shown = {name: mask(text) for name, text in texts.items() if isinstance(text, str)}
        report(replace(event, **shown))  # type: ignore[arg-type]

    return show


class Step:
    """A running step; its end is shown with the text in `detail`."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.detail = ""
        self._report = report

    def line(self, text: str) -> None:
        """Report one line of progress; do nothing for an empty one."""
        if text.strip():
            self._report(StepProgress(self.name, text))


@contextmanager
def step(name: str, report: Report) -> Iterator[Step]:
    """Report the start and the end of the block; errors pass through."""
    running = Step(name, report)
    started = time.monotonic()
    report(StepStarted(name))
    try:
        yield running
    except BaseException as error:
        report(StepFailed(name, time.monotonic() - started, str(error) or type(error).__name__))
        raise
    report(StepFinished(name, time.monotonic() - started, running.detail))

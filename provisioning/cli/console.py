"""Progress in a terminal: one line for each step, and a spinner while it runs."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from provisioning.errors import ProvisioningError, UnhealthyRelease
from provisioning.events import Event, StepFailed, StepFinished, StepProgress, StepStarted, WarningGiven
from provisioning.host_errors import BuildFailed

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.status import Status


class Console:
    """Shows events on standard error: a spinner in a terminal, else one plain line for each finished step."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._rich: RichConsole | None = None
        self._status: Status | None = None
        self._verbose = verbose
        # Importing rich takes time, and a pipeline needs no colours.
        if sys.stderr.isatty() or os.environ.get("FORCE_COLOR"):
            from rich.console import Console as RichConsole
            from rich.status import Status

            self._rich = RichConsole(file=sys.stderr, highlight=False)
            if self._rich.is_terminal:
                self._status = Status("", console=self._rich)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        text = str(event)
        if isinstance(event, StepStarted):
            self._spin(text)
        elif isinstance(event, StepProgress):
            self._spin(text[:100])
            if self._verbose:
                self._line("", "", f"  {text}")
        elif isinstance(event, StepFinished):
            self._line("green", "✓ ", text)
        elif isinstance(event, StepFailed):
            self._line("red", "✗ ", text)
        elif isinstance(event, WarningGiven):
            self._line("yellow", "! ", text)

    def fail(self, error: ProvisioningError) -> None:
        """Show an error: its message, its log lines and its hint."""
        if isinstance(error, UnhealthyRelease | BuildFailed):
            source = error.service if isinstance(error, UnhealthyRelease) else "build"
            for line in error.log_tail:
                self._line("", "", f"  {source} | {line}")
        self._line("red", "error: ", str(error))
        if error.hint:
            self._line("dim", "hint: ", error.hint)

    def _line(self, style: str, head: str, text: str) -> None:
        if self._rich is None:
            print(head + text, file=sys.stderr, flush=True)
            return
        from rich.text import Text

        self._rich.print(Text.assemble((head, style), text), soft_wrap=True)

    def _spin(self, text: str) -> None:
        if self._status:
            from rich.markup import escape

            self._status.update(escape(text))
            self._status.start()

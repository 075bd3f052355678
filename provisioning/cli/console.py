"""How a push looks in a terminal: one line for each step, and a spinner while it runs."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.status import Status

from provisioning.errors import ProvisioningError, UnhealthyRelease
from provisioning.events import Event, StepFailed, StepFinished, StepProgress, StepStarted, WarningGiven
from provisioning.host_errors import BuildFailed


class Console:
    """Shows events on standard error; where that is no terminal, one plain line for each step that ended."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._rich = RichConsole(file=sys.stderr, highlight=False)
        self._status = Status("", console=self._rich) if self._rich.is_terminal else None
        self._verbose = verbose

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        text = escape(str(event))
        if isinstance(event, StepStarted):
            self._spin(text)
        elif isinstance(event, StepProgress):
            self._spin(text[:100])
            if self._verbose:
                self._rich.print(f"  {text}", soft_wrap=True)
        elif isinstance(event, StepFinished):
            self._rich.print(f"[green]✓[/] {text}", soft_wrap=True)
        elif isinstance(event, StepFailed):
            self._rich.print(f"[red]✗[/] {text}", soft_wrap=True)
        elif isinstance(event, WarningGiven):
            self._rich.print(f"[yellow]![/] {text}", soft_wrap=True)

    def fail(self, error: ProvisioningError) -> None:
        """Show an error: its sentence, the log lines it carries, and what to do next."""
        if isinstance(error, UnhealthyRelease | BuildFailed):
            source = error.service if isinstance(error, UnhealthyRelease) else "build"
            for line in error.log_tail:
                self._rich.print(f"  {source} | {escape(line)}", soft_wrap=True)
        self._rich.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        if error.hint:
            self._rich.print(f"[dim]hint:[/] {escape(error.hint)}", soft_wrap=True)

    def _spin(self, text: str) -> None:
        if self._status:
            self._status.update(text)
            self._status.start()

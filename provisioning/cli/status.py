"""`onebox status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from provisioning.cli import session
from provisioning.cli.units import ago, size
from provisioning.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioning.operate.overview import ContainerUse, Overview

EPILOG = (
    "Exit codes: 0 every service runs and is healthy, or nothing was pushed yet; 1 failed; 2 invalid usage or "
    "value; 3 a service is not healthy; 130 interrupted. `onebox plan` has an exit code for drift."
)


def status(stack: session.Stack = None, as_json: session.AsJson = False) -> None:
    """Show the release on the host and the state of its services.

    Release, age, health, traffic split, memory, restarts, disk, lock and drift.
    """
    with session.running(as_json):
        settings = session.settings(stack)
        from provisioning.operate.overview import read_overview

        found = read_overview(settings)
    if as_json:
        session.print_json(found.as_json())
    else:
        from provisioning.plan.render import plain

        typer.echo("\n".join(plain(line) for line in _lines(found)))
    if found.release and not found.well:
        raise typer.Exit(ExitCode.UNHEALTHY)


def _lines(found: Overview) -> Iterator[str]:
    if found.release is None:
        yield "nothing was pushed yet"
    else:
        by = f" by {found.pushed_by}" if found.pushed_by else ""
        when = f"pushed {ago(found.age_seconds)} ago{by}" if found.pushed_at else "pushed at an unknown time"
        yield f"release {found.release[:12]}, {when}"
    for service in found.services:
        yield _service(service)
    if found.split:
        yield f"split   {', '.join(f'{name} {weight}' for name, weight in sorted(found.split.items()))}"
    yield f"disk    {size(found.free_bytes)} free of {size(found.total_bytes)}"
    yield f"lock    {found.pushing or 'free'}"
    for line in found.drift:
        yield f"drift   {line}"


def _service(service: ContainerUse) -> str:
    condition = f"{service.state} ({service.health})" if service.health else service.state
    parts = [
        f"up {ago(service.uptime_seconds)}" if service.uptime_seconds is not None else "",
        f"memory {size(service.memory_bytes)}" if service.memory_bytes is not None else "",
        f"of {size(service.memory_limit_bytes)}"
        if service.memory_limit_bytes and service.memory_bytes
        else "",
        f"restarts {service.restarts}" if service.restarts else "",
    ]
    use = " ".join(part for part in parts if part)
    return f"  {service.service:<16} {service.digest[:12]:<13} {condition:<20} {use}".rstrip()

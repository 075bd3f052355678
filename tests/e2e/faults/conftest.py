"""The fault table: each row does what it says to a real host, and prints what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.faults import figures
from tests.e2e.faults.real_host import RealHost, real_host
from tests.e2e.faults.small import Small, make_small

if TYPE_CHECKING:
    from tests.e2e.conftest import Checkout


@pytest.fixture(scope="session")
def host(rehearsal: Checkout) -> RealHost:
    """The host of the stack that is up."""
    return real_host(rehearsal)


@pytest.fixture
def small_project(host: RealHost, tmp_path: Path) -> Iterator[Callable[[str], Small]]:
    """small_project(name): a small release with a place of its own on the host, taken off it at the end."""
    made: list[Small] = []

    def make(name: str) -> Small:
        made.append(make_small(host, name, tmp_path / name))
        return made[-1]

    yield make
    for small in made:
        small.remove()


@pytest.fixture
def late_user(host: RealHost) -> Iterator[str]:
    """A user of the host whose key nobody has written yet, and who is in no group."""
    user = "late"
    host.inside("useradd", "--create-home", "--shell", "/bin/sh", user)
    yield user
    # A process that was killed is still there for a moment, and as long as it is, so is its user.
    host.sh(
        f"for turn in $(seq 50); do pkill -KILL -u {user} || true; userdel --remove {user} 2>/dev/null && exit 0; "
        f"sleep 0.2; done; userdel --remove {user}"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One table of what every row found."""
    if not figures.found:
        return
    kind = "full counts" if figures.FULL else "reduced counts; make test-faults has the full ones"
    terminalreporter.section(f"faults, seed {figures.SEED}, {kind}")
    for row in sorted(figures.found, key=lambda item: [int(part) for part in re.findall(r"\d+", item.row)]):
        terminalreporter.write_line(f"{row.row:<5} {row.text}")

"""The contestants in turns: each scenario as often as its turns say, the first of a turn changing every time."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.push.contestant import Contestant
from benchmarks.push.files import change_code, change_page, change_rule, pages_digest
from benchmarks.push.ours import Onebox
from benchmarks.push.rehearsal import NoHost, Rehearsal, measure, prove
from benchmarks.push.table import Sample, markdown, rows
from benchmarks.push.with_ansible import Ansible
from benchmarks.push.with_pyinfra import Pyinfra
from provisioning.config.service_facts import API, PROMETHEUS, UI

PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Scenario:
    """What is done to each contestant before its command, and what must hold after it."""

    name: str
    turns: int
    before: Callable[[Contestant, str], None]
    proof: Callable[[Rehearsal, Contestant, str], bool]


def scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios in their order; each one starts from the state that the previous one left."""
    return (
        Scenario("first push", 2, lambda one, _: one.reset(), _nothing_more),
        Scenario("nothing changed", 7, lambda *_: None, _nothing_more),
        Scenario("one alert rule changed", 5, _rule, _has_rule),
        Scenario("one file of the API changed", 5, _code, _has_code),
        Scenario("one file of the UI changed", 5, _page, _has_page),
    )


def _nothing_more(*_: object) -> bool:
    return True


def _rule(one: Contestant, mark: str) -> None:
    change_rule(one.tree, mark)


def _code(one: Contestant, mark: str) -> None:
    change_code(one.tree, mark)


def _page(one: Contestant, mark: str) -> None:
    change_page(one.tree, mark)


def _has_rule(host: Rehearsal, one: Contestant, mark: str) -> bool:
    return host.has_rule(PROMETHEUS.port + one.shift, mark)


def _has_code(host: Rehearsal, one: Contestant, mark: str) -> bool:
    return host.has_code(API.port + one.shift, mark)


def _has_page(host: Rehearsal, one: Contestant, _mark: str) -> bool:
    return host.has_pages(UI.port + one.shift, pages_digest(one.tree))


def run_all(host: Rehearsal, contestants: Sequence[Contestant], tell: Callable[[str], None]) -> list[Sample]:
    """Run every scenario, turn by turn. Raises RunFailed when a contestant fails or its check does."""
    samples = []
    for one in contestants:
        tell(f"prepare {one.name}")
        one.prepare()
        # Builds the layers that all of them share, and warms what each keeps between its runs.
        one.push()
    for scenario in scenarios():
        for turn in range(scenario.turns):
            first = turn % len(contestants)
            for one in (*contestants[first:], *contestants[:first]):
                # Another one in every run, so that no image is found that was built before.
                mark = f"turn {turn} {secrets.token_hex(6)}"
                scenario.before(one, mark)
                taken = measure(host, one.push)
                prove("every service healthy", partial(host.healthy, one.project))
                prove(scenario.name, partial(scenario.proof, host, one, mark))
                samples.append(Sample(scenario.name, one.name, turn, taken.seconds, taken.wire_bytes))
                tell(
                    f"{scenario.name}, turn {turn + 1}: {one.name} {taken.seconds:.2f} s, "
                    f"{taken.wire_bytes / 1024:.0f} KiB"
                )
    return samples


def main() -> None:
    """one release onto one rehearsal host: onebox, Ansible and pyinfra, in turns"""
    stack = os.environ.get("ONEBOX_STACK", "local")
    try:
        host = Rehearsal.of(PROJECT_ROOT, stack)
    except NoHost as error:
        print(f"  left aside: {error}; `make bench-push` makes one")
        return
    if shutil.which("rsync") is None:
        print("  left aside: there is no rsync on this machine; `make bench-push` installs it")
        return
    work = PROJECT_ROOT / ".onebox" / "bench"
    ours = Onebox(host, work / "onebox")
    others: list[Ansible | Pyinfra] = [Ansible(host, work / "ansible"), Pyinfra(host, work / "pyinfra")]
    if not host.run("sh", "-c", "command -v rsync || true").strip():
        host.run("apt-get", "install", "-y", "-q", "--no-install-recommends", "rsync", root=True)
    try:
        samples = run_all(host, [ours, *others], lambda line: print(f"  {line}", file=sys.stderr, flush=True))
    finally:
        for one in others:
            one.reset()
        # What the checkout has serves again.
        ours.prepare()
        ours.push()
    print(markdown(rows(samples)))

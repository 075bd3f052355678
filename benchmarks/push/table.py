"""Pure: what was measured, as medians and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OURS = "onebox"


@dataclass(frozen=True)
class Sample:
    """One run of one contestant: seconds by the clock, and bytes over the host's interface in both directions."""

    scenario: str
    contestant: str
    turn: int
    seconds: float
    wire_bytes: int


@dataclass(frozen=True)
class Row:
    """A scenario's medians by contestant, and how many times faster ours was than the fastest of the others."""

    scenario: str
    turns: int
    seconds: dict[str, float]
    wire_bytes: dict[str, float]
    ratio: float
    """Median over the turns, each compared within itself."""


def rows(samples: Iterable[Sample]) -> tuple[Row, ...]:
    """Return one row for each scenario, in the order in which they were measured."""
    taken = tuple(samples)
    return tuple(_row(name, taken) for name in dict.fromkeys(sample.scenario for sample in taken))


def _row(scenario: str, samples: Sequence[Sample]) -> Row:
    own = [sample for sample in samples if sample.scenario == scenario]
    names = list(dict.fromkeys(sample.contestant for sample in own))
    turns = sorted({sample.turn for sample in own})
    by_turn = {
        turn: {sample.contestant: sample.seconds for sample in own if sample.turn == turn} for turn in turns
    }
    ratios = [
        min(seconds for name, seconds in found.items() if name != OURS) / found[OURS]
        for found in by_turn.values()
    ]
    return Row(
        scenario=scenario,
        turns=len(turns),
        seconds={name: statistics.median(s.seconds for s in own if s.contestant == name) for name in names},
        wire_bytes={
            name: statistics.median(s.wire_bytes for s in own if s.contestant == name) for name in names
        },
        ratio=statistics.median(ratios),
    )


def markdown(found: Sequence[Row]) -> str:
    """Return the rows as a table: seconds and, behind a slash, KiB on the wire; the others against ours."""
    names = sorted({name for row in found for name in row.seconds}, key=lambda name: (name != OURS, name))
    head = ["scenario", *names, "turns", "the faster of the others / ours"]
    lines = [head, ["---"] * len(head)]
    for row in found:
        cells = [f"{row.seconds[name]:.2f} s / {row.wire_bytes[name] / 1024:.0f} KiB" for name in names]
        lines.append([row.scenario, *cells, str(row.turns), f"{row.ratio:.1f}x"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

"""The digest that a preview showed, for the update that follows it in the same `pulumi up`.

Preview and update are two runs of the program under one engine process, and the tree may change between them: the
engine waits for a confirmation. So the preview records its digest for its engine, and the update takes that one instead
of the tree's; the push then refuses a tree that is another release. Without a preview the tree's digest counts.
"""

from __future__ import annotations

import os
from pathlib import Path

import pulumi

_PARENT, _STARTED = 1, 19
"""Indices in /proc/PID/stat after the command's name, see proc(5): parent's pid, start in clock ticks after boot."""
_SUFFIX = ".preview"


def previewed(digest: str) -> str:
    """Return the digest to push for a tree of `digest`: in an update, the one that its preview recorded.

    Raises OSError for a record that cannot be written or read.
    """
    engine = engine_process(os.getppid())
    if engine is None:
        return digest
    records = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi", "onebox")
    # One record for each engine: previews of other terminals do not touch it.
    record = records / f"{pulumi.get_project()}-{pulumi.get_stack()}-{engine}{_SUFFIX}"
    if pulumi.runtime.is_dry_run():
        records.mkdir(parents=True, exist_ok=True)
        _remove_stale(records)
        record.write_text(digest)
        return digest
    return record.read_text() if record.exists() else digest


def _remove_stale(records: Path) -> None:
    """Remove the records of engines that have ended."""
    for record in records.glob(f"*{_SUFFIX}"):
        engine = record.name.removesuffix(_SUFFIX).rpartition("-")[2]
        if _process(engine.partition(".")[0]) != engine:
            record.unlink(missing_ok=True)


def engine_process(language_host: int) -> str | None:
    """Return the engine that started this language host, `pid.start`; None on a system without /proc."""
    parent = _stat(str(language_host), _PARENT)
    return None if parent is None else _process(parent)


def _process(pid: str) -> str | None:
    """Return `pid.start` of a process, which no other process has; None where it has ended."""
    start = _stat(pid, _STARTED)
    return None if start is None else f"{pid}.{start}"


def _stat(pid: str, field: int) -> str | None:
    try:
        # The command's name is in parentheses and may hold any character.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[field]
    except OSError:
        return None

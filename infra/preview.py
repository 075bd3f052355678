"""The digest that a preview showed, for the update that follows it in the same `pulumi up`.

Preview and update are two runs of the program under one engine process, and the tree may change between them: the
engine waits for a confirmation. So the preview records its digest, and the update takes that one instead of the
tree's; the push then refuses a tree that is another release. Without a preview the tree's digest counts.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pulumi

_PARENT, _STARTED = 1, 19
"""Indices in /proc/PID/stat after the command's name, see proc(5): parent's pid, start in clock ticks after boot."""


def previewed(digest: str) -> str:
    """Return the digest to push for a tree of `digest`: in an update, the one that its preview recorded."""
    engine = engine_process(os.getppid())
    record = _file()
    if engine is None:
        return digest
    if pulumi.runtime.is_dry_run():
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"engine": engine, "digest": digest}))
        return digest
    try:
        recorded = json.loads(record.read_text())
    except (OSError, ValueError):
        return digest
    return str(recorded["digest"]) if recorded["engine"] == engine else digest


def engine_process(language_host: int) -> str | None:
    """Return pid and start of the engine that started this language host; None on a system without /proc."""
    try:
        engine = _stat(language_host)[_PARENT]
        return f"{engine} {_stat(engine)[_STARTED]}"
    except OSError:
        return None


def _stat(pid: str | int) -> list[str]:
    # The command's name is in parentheses and may hold any character.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _file() -> Path:
    home = os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi"
    return Path(home, "onebox", f"{pulumi.get_project()}-{pulumi.get_stack()}.preview.json")

"""Add a line to the audit log, or print its last lines. Input: {"root", "entry": the line or null, "tail": how many}.

Printed are the entries, the numbers of lines that do not follow the line before them, and how many lines there are.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from provisioning.agent.store.audit_log import append_audit, line_digest

request = json.load(sys.stdin)


def read(tail: int) -> dict[str, Any]:
    try:
        with open(os.path.join(request["root"], "audit.jsonl"), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    found: list[dict[str, Any]] = []
    broken: list[int] = []
    before = ""
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or entry.get("after") != before:
            broken.append(number)
        if isinstance(entry, dict):
            found.append(entry)
        before = line_digest(line)
    return {"entries": found[-tail:], "broken": broken, "lines": len(lines)}


if request["entry"] is not None:
    append_audit(request["root"], request["entry"])
print(json.dumps(read(request["tail"]) if request["tail"] else {}))

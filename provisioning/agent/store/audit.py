"""Append to the audit log, or read it and verify its hash chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Union

from provisioning.agent.codec import Malformed, from_json, parse
from provisioning.agent.store.audit_log import append_audit, audit_path, line_digest
from provisioning.agent.store.messages import AppendAudit, AuditLine, AuditLines, Done, ReadAudit


def handle(request: Union[AppendAudit, ReadAudit]) -> Union[Done, AuditLines]:
    """Append the entry, or return the last entries."""
    if isinstance(request, ReadAudit):
        return read_audit(request)
    append_audit(request.root, {name: value for name, value in vars(request).items() if name != "root"})
    return Done()


def read_audit(request: ReadAudit) -> AuditLines:
    """Return the last entries, and the numbers of lines that cannot be read or do not follow the line before."""
    try:
        with open(audit_path(request.root), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    entries: list[AuditLine] = []
    broken: list[int] = []
    before = ""
    for number, line in enumerate(lines, 1):
        try:
            value = parse(line)
            entries.append(replace(from_json(AuditLine, value), came_from=str(value.get("from", ""))))
            follows = value.get("after") == before
        except Malformed:
            follows = False
        if not follows:
            broken.append(number)
        before = line_digest(line)
    return AuditLines(tuple(entries[-request.tail :]), len(lines), tuple(broken))

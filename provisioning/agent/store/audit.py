"""Append to the audit log, or read it and verify its hash chain."""

from __future__ import annotations

import json
from typing import Union

from provisioning.agent.codec import from_json
from provisioning.agent.store.audit_log import append_audit, audit_path, line_digest
from provisioning.agent.store.messages import AppendAudit, AuditLine, AuditLines, Done, ReadAudit


def handle(request: Union[AppendAudit, ReadAudit]) -> Union[Done, AuditLines]:
    """Append the entry, or return the last entries."""
    if isinstance(request, ReadAudit):
        return read_audit(request)
    append_audit(request.root, {name: value for name, value in vars(request).items() if name != "root"})
    return Done()


def read_audit(request: ReadAudit) -> AuditLines:
    """Return the last entries, and the numbers of lines that do not carry the digest of the line before."""
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
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict) or value.get("after") != before:
            broken.append(number)
        if isinstance(value, dict):
            entries.append(from_json(AuditLine, {**value, "came_from": value.get("from", "")}))
        before = line_digest(line)
    return AuditLines(tuple(entries[-request.tail :]), len(lines), tuple(broken))

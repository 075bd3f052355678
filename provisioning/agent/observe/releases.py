"""Read the release store, and what the logs know of pruned releases."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import datetime, timezone

from provisioning.agent.codec import Malformed, decode
from provisioning.agent.files import current_release, read_json
from provisioning.agent.observe.messages import ReadReleases, Releases, Served, StoredRelease
from provisioning.agent.store.audit_log import audit_path
from provisioning.agent.store.journal import entries_in, read_lines
from provisioning.agent.store.messages import AuditLine


def handle(request: ReadReleases) -> Releases:
    """Return the releases."""
    kept = _stored(os.path.join(request.root, "releases"))
    served = _served(audit_path(request.root))
    done = [entry for entry in entries_in(read_lines(request.root)) if entry.result == "ok" and entry.release]
    past = {entry.release for entry in done} | {item.release for item in served if item.release}
    rows = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return Releases(
        now=time.time(),
        current=current_release(request.root) or None,
        previous=done[-1].previous if done else None,
        kept=kept,
        served=tuple(served),
        past=tuple(sorted(past - set(kept))),
        images=tuple(rows.stdout.split()) if rows.returncode == 0 else (),
    )


def _stored(releases: str) -> dict[str, StoredRelease]:
    found: dict[str, StoredRelease] = {}
    for name in sorted(os.listdir(releases)) if os.path.isdir(releases) else []:
        path = os.path.join(releases, name, "manifest.json")
        # Without a manifest it is not whole: an interrupted push left it.
        if os.path.lexists(path) and not name.endswith(".partial"):
            written = datetime.fromtimestamp(os.lstat(path).st_mtime, timezone.utc)
            found[name] = StoredRelease(read_json(path), written.isoformat(timespec="seconds"))
    return found


def _served(path: str) -> list[Served]:
    """Return when and by whom releases came to serve, which only the audit log knows."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    found: list[Served] = []
    for line in lines:
        try:
            entry = decode(AuditLine, line)
        except Malformed:
            continue
        if entry.result == "ok" and entry.what in ("push", "rollback"):
            found.append(Served(entry.at, entry.who, entry.what, entry.release))
    return found

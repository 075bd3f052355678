"""Take a file from standard input, from where an earlier try ended, check its hash, and rename it into place.

Arguments: final path, part path, SHA-256 in hex, size, mode in octal, what to journal as JSON (or nothing).
Says first what is there as JSON: {"offset", "sha256" of that beginning, "free"}. Then the input's first line is
where to go on. Status 28: the disk is full. Status 74: the input ended early; the part stays for the next try.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import select
import shutil
import sys

from provisioning.agent.store.journal import Journal

SILENCE_SECONDS = 30
final, part, wanted, size, mode, note = sys.argv[1:7]
journal = Journal(json.loads(note) if note else None)
digest = hashlib.sha256()
os.makedirs(os.path.dirname(final), exist_ok=True)


def opened() -> int:
    """The part, for us alone: a try whose client is gone may still be waiting for more of it."""
    global part
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        part += f"-{os.getpid()}"
        return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    return descriptor


def more() -> bytes:
    return os.read(0, 1 << 20) if select.select([0], [], [], SILENCE_SECONDS)[0] else b""


def first_line() -> tuple[int, bytes]:
    text = b""
    while b"\n" not in text:
        chunk = more()
        if not chunk:
            sys.exit(74)
        text += chunk
    line, _, rest = text.partition(b"\n")
    return int(line), rest


try:
    out = os.fdopen(opened(), "r+b")
    while chunk := out.read(1 << 20):
        digest.update(chunk)
    offset = out.tell()
    free = shutil.disk_usage(os.path.dirname(final)).free
    print(json.dumps({"offset": offset, "sha256": digest.hexdigest(), "free": free}), flush=True)
    start, chunk = first_line()
    journal.begin()
    if start != offset:
        digest = hashlib.sha256()
    out.seek(start)
    out.truncate()
    while True:
        digest.update(chunk)
        out.write(chunk)
        # What has come is what the next try can build on.
        out.flush()
        if out.tell() >= int(size):
            break
        chunk = more()
        if not chunk:
            sys.exit(74)
    os.fchmod(out.fileno(), int(mode, 8))
    os.fsync(out.fileno())
except OSError as error:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full and os.path.exists(part):
        os.unlink(part)
    sys.exit(28 if full else f"{error.strerror}: {part}")
if digest.hexdigest() != wanted:
    # Nothing can be built on it.
    os.unlink(part)
    sys.exit(f"its hash is {digest.hexdigest()[:12]}… instead of {wanted[:12]}…")
os.replace(part, final)
journal.end()

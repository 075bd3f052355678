"""Receive a file: resume an earlier attempt, verify the hash, rename."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import select
import shutil

from provisioning.agent.codec import encode
from provisioning.agent.protocol import Exit, Refused
from provisioning.agent.store.journal import Journal
from provisioning.agent.store.messages import Offer, ReceiveFile

SILENCE_SECONDS = 30


def handle(request: ReceiveFile) -> Exit:
    """Return OK, DISK_FULL or INCOMPLETE. Raises Refused when the hash differs or the file cannot be written."""
    os.makedirs(os.path.dirname(request.path), exist_ok=True)
    journal = Journal(request.root, request.journal)
    part = request.part
    try:
        part, descriptor = _open_part(part)
        with os.fdopen(descriptor, "r+b") as out:
            digest = hashlib.sha256()
            while chunk := out.read(1 << 20):
                digest.update(chunk)
            offset = out.tell()
            free = shutil.disk_usage(os.path.dirname(request.path)).free
            print(encode(Offer(offset, digest.hexdigest(), free)), flush=True)
            start, chunk = _first_line()
            journal.begin()
            if start != offset:
                digest = hashlib.sha256()
            out.seek(start)
            out.truncate()
            while True:
                digest.update(chunk)
                out.write(chunk)
                # The next attempt resumes after what is written.
                out.flush()
                if out.tell() >= request.size:
                    break
                chunk = _more()
            os.fchmod(out.fileno(), request.mode)
            os.fsync(out.fileno())
    except EOFError:
        return Exit.INCOMPLETE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(f"{error.strerror}: {part}") from error
        if os.path.exists(part):
            os.unlink(part)
        return Exit.DISK_FULL
    if digest.hexdigest() != request.sha256:
        # No attempt can resume it.
        os.unlink(part)
        raise Refused(f"its hash is {digest.hexdigest()[:12]}… instead of {request.sha256[:12]}…")
    os.replace(part, request.path)
    journal.end()
    return Exit.OK


def _open_part(part: str) -> tuple[str, int]:
    """Open the part for this process alone: an attempt whose client is gone may still wait for input."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        part += f"-{os.getpid()}"
        return part, os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    return part, descriptor


def _more() -> bytes:
    """Return the next input. Raises EOFError when it ended or stayed silent."""
    chunk = os.read(0, 1 << 20) if select.select([0], [], [], SILENCE_SECONDS)[0] else b""
    if not chunk:
        raise EOFError
    return chunk


def _first_line() -> tuple[int, bytes]:
    text = b""
    while b"\n" not in text:
        text += _more()
    line, _, rest = text.partition(b"\n")
    return int(line), rest

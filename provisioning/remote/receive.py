"""Write standard input to a part file, check its hash, and rename it into place.

Arguments: final path, part path, SHA-256 in hex, mode in octal. Status 28: the disk is full.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys

final, part, wanted, mode = sys.argv[1:5]
digest = hashlib.sha256()
os.makedirs(os.path.dirname(final), exist_ok=True)
try:
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while chunk := sys.stdin.buffer.read(1 << 20):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fchmod(out.fileno(), int(mode, 8))
        os.fsync(out.fileno())
except OSError as error:
    if os.path.exists(part):
        os.unlink(part)
    sys.exit(28 if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"{error.strerror}: {part}")
if digest.hexdigest() != wanted:
    sys.exit(f"its hash is {digest.hexdigest()[:12]}… instead of {wanted[:12]}…")
os.replace(part, final)

"""Write secrets as files that one user can read.

Each is <root>/secrets/<digest>/<name>, mode 0400, owned by the user of its service: the container mounts the
file itself. Only this user can enter the directories. An index beside each file holds its inode and time of
change, so that a change shows without reading it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from provisioning.agent.protocol import Refused
from provisioning.agent.store.journal import Journal
from provisioning.agent.store.messages import Done, SecretFile, WriteSecrets


def handle(request: WriteSecrets) -> Done:
    """Write the files. Raises Refused when one cannot be given to its owner."""
    home = os.path.join(request.root, "secrets")
    journal = Journal(request.root, request.journal)
    os.umask(0o077)
    os.makedirs(home, exist_ok=True)
    os.chmod(home, 0o700)
    journal.begin()
    for secret in request.secrets:
        _write(home, secret)
    journal.end()
    return Done()


def _write(home: str, secret: SecretFile) -> None:
    final = os.path.join(home, secret.digest)
    partial = final + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    path = os.path.join(partial, secret.name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as out:
        out.write(secret.value)
        out.flush()
        os.fsync(out.fileno())
    done = subprocess.run(
        ["sudo", "-n", "chown", secret.owner, path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        reason = done.stderr.strip()
        raise Refused(f"the file of the secret {secret.name} cannot be given to {secret.owner}: {reason}")
    found = os.lstat(path)
    with open(os.path.join(partial, "index.json"), "w", encoding="utf-8") as out:
        json.dump({"inode": found.st_ino, "changed": found.st_ctime_ns}, out)
        out.flush()
        os.fsync(out.fileno())
    # A running container keeps the old file until it is recreated.
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial, final)

"""Write secrets as files that one user can read. Input: {"root", "note", "secrets"}; of each secret {"digest",
"name", "owner", "value"}.

Each lies in <root>/secrets/<digest>/<name>, mode 0400, and belongs to the user that its service runs as: a
container gets the file itself mounted, with its owner. The directories belong to us and let nobody else in. An
index beside it holds inode and time of change, so that a file that was touched shows without being read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

from provisioning.agent.store.journal import Journal

request = json.load(sys.stdin)
home = os.path.join(request["root"], "secrets")
journal = Journal(request["note"])


def keep(secret: dict[str, Any]) -> None:
    final = os.path.join(home, secret["digest"])
    partial = final + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    path = os.path.join(partial, secret["name"])
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as out:
        out.write(secret["value"])
        out.flush()
        os.fsync(out.fileno())
    done = subprocess.run(
        ["sudo", "-n", "chown", secret["owner"], path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        sys.exit(
            f"the file of the secret {secret['name']} cannot be given to {secret['owner']}: {done.stderr.strip()}"
        )
    found = os.lstat(path)
    with open(os.path.join(partial, "index.json"), "w", encoding="utf-8") as out:
        json.dump({"inode": found.st_ino, "changed": found.st_ctime_ns}, out)
        out.flush()
        os.fsync(out.fileno())
    # A container that runs keeps the old file until it is made anew.
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial, final)


os.umask(0o077)
os.makedirs(home, exist_ok=True)
os.chmod(home, 0o700)
journal.begin()
for entry in request["secrets"]:
    keep(entry)
journal.end()
print(json.dumps({}))

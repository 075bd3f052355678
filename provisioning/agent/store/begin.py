"""Begin a push: write that down, and remove what an earlier one left half made. Input: {"root", "entry", "keep"}.

`keep` is the path of the archive that is about to come: a part of it is continued. The lock is held, so
nobody else has anything half made. Prints what was removed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys

from provisioning.agent.store.journal import append
from provisioning.agent.store.leftovers import leftovers

request = json.load(sys.stdin)
root, keep = request["root"], request["keep"]
removed: list[str] = []
append(os.path.join(root, "journal.jsonl"), request["entry"])
for name in leftovers(root):
    path = os.path.join(root, name)
    if keep and path.startswith(keep):
        continue
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)
    removed.append(name)
print(json.dumps({"removed": removed}))

"""Print as JSON {"values": [...]}: the values of all secrets that are kept on this host. Input: {"root"}.

For hiding them in what is shown. They leave the host in the answer alone, over the connection that brought them.
Their files belong to the users of their services, so each is read as root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

home = os.path.join(json.load(sys.stdin)["root"], "secrets")
values: list[str] = []
for folder in sorted(os.listdir(home)) if os.path.isdir(home) else []:
    for name in sorted(os.listdir(os.path.join(home, folder))):
        if name == "index.json":
            continue
        path = os.path.join(home, folder, name)
        done = subprocess.run(
            ["sudo", "-n", "cat", "--", path], stdin=subprocess.DEVNULL, capture_output=True, timeout=20
        )
        if done.returncode != 0:
            sys.exit(
                f"the secret {name} cannot be read, so it could not be hidden: {done.stderr.decode().strip()}"
            )
        values.append(done.stdout.decode("utf-8", "replace"))
print(json.dumps({"values": values}))

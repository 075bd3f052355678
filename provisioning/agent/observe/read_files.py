"""Print as JSON the content of files. Input: {"root", "directory": below it, "paths", "limit": bytes per file}.

Reads only. Base64 of each file's content; null for one that is absent, leads elsewhere or is above the limit.
"""

from __future__ import annotations

import base64
import json
import os
import sys

request = json.load(sys.stdin)
base = os.path.realpath(os.path.join(request["root"], request["directory"]))


def read(path: str) -> str | None:
    full = os.path.realpath(os.path.join(base, path))
    try:
        if os.path.commonpath([base, full]) != base or os.path.getsize(full) > request["limit"]:
            return None
        with open(full, "rb") as file:
            return base64.b64encode(file.read()).decode()
    except OSError:
        return None


print(json.dumps({path: read(path) for path in request["paths"]}))

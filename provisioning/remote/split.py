"""The split of the users that was set at run time. Part of the scripts that need it."""

from __future__ import annotations

import http.client
import json
from typing import Any


def split_in_force(inspected: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the service that has the weights says of a change at run time; None where there is none, or no answer.

    It is asked at the port that it publishes, by GET /config, which needs no key.
    """
    for item in inspected:
        values = [entry.partition("=")[0] for entry in item["Config"].get("Env") or []]
        if "MODEL_V1_WEIGHT" not in values or item["State"]["Status"] != "running":
            continue
        for bindings in ((item.get("NetworkSettings") or {}).get("Ports") or {}).values():
            for binding in (bindings or [])[:1]:
                try:
                    client = http.client.HTTPConnection("127.0.0.1", int(binding["HostPort"]), timeout=2)
                    client.request("GET", "/config")
                    found = json.loads(client.getresponse().read(1 << 20))
                    client.close()
                    changed = found["changed"]
                    return changed and {
                        "weights": "/".join(str(int(weight)) for weight in found["weights"].values()),
                        "pushed": "/".join(str(int(weight)) for weight in found["pushed_weights"].values()),
                        "since": str(changed["time"])[:40],
                        "by": str(changed["by"])[:100],
                    }
                except (
                    OSError,
                    http.client.HTTPException,
                    ValueError,
                    LookupError,
                    TypeError,
                    AttributeError,
                ):
                    return None
    return None

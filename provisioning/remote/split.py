"""The split of the users that was set at run time. Part of the scripts that need it."""

from __future__ import annotations

import json
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST_ANSWER = 1 << 20


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
                    found = config_at(int(binding["HostPort"]))
                    changed = found["changed"]
                    return changed and {
                        "weights": "/".join(str(int(weight)) for weight in found["weights"].values()),
                        "pushed": "/".join(str(int(weight)) for weight in found["pushed_weights"].values()),
                        "since": str(changed["time"])[:40],
                        "by": str(changed["by"])[:100],
                    }
                except (OSError, ValueError, LookupError, TypeError, AttributeError):
                    return None
    return None


def config_at(port: int) -> Any:
    """What GET /config says at a port of this host. Raises OSError and ValueError."""
    # HTTP's own library takes longer to load than all the rest of a look at the host takes to run.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.settimeout(2)
        stream.connect(("127.0.0.1", port))
        # By this version of HTTP an answer ends with its connection.
        stream.sendall(b"GET /config HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        said = b""
        while len(said) < LARGEST_ANSWER and (chunk := stream.recv(1 << 16)):
            said += chunk
    return json.loads(said.partition(b"\r\n\r\n")[2])

"""The split of the users that was set at run time. Part of the scripts that need it."""

from __future__ import annotations

import contextlib
import json
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST_ANSWER = 1 << 20


class SplitInForce:
    """What the service that has the weights says of a change at run time, asked when this is made.

    It is asked at the port that it publishes, by GET /config, which needs no key.
    """

    def __init__(self, inspected: list[dict[str, Any]]) -> None:
        self._stream: socket.socket | None = None
        for item in inspected:
            values = [entry.partition("=")[0] for entry in item["Config"].get("Env") or []]
            if "MODEL_V1_WEIGHT" not in values or item["State"]["Status"] != "running":
                continue
            for bindings in ((item.get("NetworkSettings") or {}).get("Ports") or {}).values():
                for binding in (bindings or [])[:1]:
                    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                        self._stream = asked_at(int(binding["HostPort"]))
                    return

    def told(self) -> dict[str, Any] | None:
        """The change; None where there is none, or no answer."""
        if self._stream is None:
            return None
        try:
            with self._stream as stream:
                said = b""
                while len(said) < LARGEST_ANSWER and (chunk := stream.recv(1 << 16)):
                    said += chunk
            found = json.loads(said.partition(b"\r\n\r\n")[2])
            changed = found["changed"]
            return changed and {
                "weights": "/".join(str(int(weight)) for weight in found["weights"].values()),
                "pushed": "/".join(str(int(weight)) for weight in found["pushed_weights"].values()),
                "since": str(changed["time"])[:40],
                "by": str(changed["by"])[:100],
            }
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None


def asked_at(port: int) -> socket.socket:
    """The connection on which a port of this host answers GET /config."""
    # HTTP's own library takes longer to load than all the rest of a look at the host takes to run.
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stream.settimeout(2)
    try:
        stream.connect(("127.0.0.1", port))
        # By this version of HTTP an answer ends with its connection.
        stream.sendall(b"GET /config HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    except OSError:
        stream.close()
        raise
    return stream

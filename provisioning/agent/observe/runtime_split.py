"""Read the runtime traffic split from the running service."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Optional

from provisioning.agent.codec import parse
from provisioning.agent.observe.messages import RuntimeSplit

LARGEST_ANSWER = 1 << 20
TIMEOUT_SECONDS = 2.0


class SplitReader:
    """Reads GET /config, which needs no key, at the port that the service with the weights publishes.

    The request is sent when this is created, and answered while the caller does other work.
    """

    def __init__(self, inspected: list[dict[str, Any]]) -> None:
        self._stream: Optional[socket.socket] = None
        for item in inspected:
            names = [entry.partition("=")[0] for entry in item["Config"].get("Env") or []]
            if "MODEL_V1_WEIGHT" not in names or item["State"]["Status"] != "running":
                continue
            for bindings in ((item.get("NetworkSettings") or {}).get("Ports") or {}).values():
                for binding in (bindings or [])[:1]:
                    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                        self._stream = _send(int(binding["HostPort"]))
                    return

    def read(self) -> Optional[RuntimeSplit]:
        """Return the split that was set at run time; None when there is none, or no answer."""
        if self._stream is None:
            return None
        try:
            with self._stream as stream:
                answer = b""
                while len(answer) < LARGEST_ANSWER and (chunk := stream.recv(1 << 16)):
                    answer += chunk
            found = parse(answer.partition(b"\r\n\r\n")[2])
            changed = found["changed"]
            return changed and RuntimeSplit(
                weights="/".join(str(int(weight)) for weight in found["weights"].values()),
                pushed="/".join(str(int(weight)) for weight in found["pushed_weights"].values()),
                since=str(changed["time"])[:40],
                by=str(changed["by"])[:100],
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None


def _send(port: int) -> socket.socket:
    # The standard library's HTTP client takes longer to import than all other facts take to read.
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stream.settimeout(TIMEOUT_SECONDS)
    try:
        stream.connect(("127.0.0.1", port))
        # In HTTP/1.0 an answer ends with its connection.
        stream.sendall(b"GET /config HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    except OSError:
        stream.close()
        raise
    return stream

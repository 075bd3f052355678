"""The entry point of the agent on the host, after the archive has become importable."""

from __future__ import annotations

import json
import os
import sys

from provisioning.agent.dispatch import respond
from provisioning.agent.protocol import READY


def main(archive: int, request: bytes) -> None:
    """Handle one request in this process; without one, serve requests until the input ends."""
    if request:
        sys.exit(respond(json.loads(request)))
    os.write(1, READY)
    from provisioning.agent.server import Server

    Server(archive).serve()

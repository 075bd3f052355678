"""`python -m infra.local.provider [flags] ENGINE_ADDRESS`: what the engine starts as pulumi-resource-aws."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from infra.local.provider.grpc import bare_pulumi

_MESSAGE_BYTES: Final = 400 * 1024 * 1024  # the engine's own limit
_GRACE_SECONDS: Final = 2
_LOOK_SECONDS: Final = 1.0


def main() -> int:
    """Serve on a free loopback port, whose number is the first line on stdout, until SIGINT or SIGTERM.

    Ends by itself when the engine that started it is gone.
    """
    # Read first: an engine killed while this starts must not leave its successor's pid here.
    engine = os.getppid()
    bare_pulumi.install()
    from pulumi.runtime.proto import provider_pb2_grpc

    from infra.local.provider.grpc.server import Provider

    provider = Provider()
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ]
    server = grpc.server(ThreadPoolExecutor(max_workers=16, thread_name_prefix="call"), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    stopping = threading.Event()

    def stop(*_: Any) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    server.start()
    print(port, flush=True)
    while not stopping.wait(_LOOK_SECONDS) and os.getppid() == engine:
        pass
    provider.Cancel(None, None)
    server.stop(_GRACE_SECONDS).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

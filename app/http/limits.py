"""How much of a request the front takes, and for how long."""

MAX_HEADERS = 100
MAX_HEADER = 8 * 1024
"""One header's name and value."""
MAX_HEAD = 32 * 1024
"""Request line and all headers."""
MAX_TARGET = 4096
MAX_LEARNT = 1024
MAX_HEADS = 512
UNLEARNT = frozenset((b"x-request-id", b"transfer-encoding", b"expect", b"upgrade", b"traceparent"))
"""What differs from request to request, or concerns the parser."""
MAX_QUEUED = 16
"""Pipelined requests that wait for the one before; more are left in the socket."""
IDLE_SECONDS = 75
REQUEST_SECONDS = 30
"""From a request's first byte to its last."""
LINGER_SECONDS = 2
"""A client that is still sending when it is refused gets this long to read why."""

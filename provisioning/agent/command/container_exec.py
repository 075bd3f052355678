"""A command inside a container, started at Docker's socket: `docker exec` without the start of the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Optional

from provisioning.agent.docker_engine import is_elsewhere, send_to_engine
from provisioning.agent.protocol import Exit


class ContainerExec:
    """Does what `docker exec CONTAINER COMMAND` does. Raises OSError when it cannot be started; then nothing runs."""

    def __init__(self, container: str, argv: Sequence[str], deadline: float) -> None:
        self._deadline = deadline
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        self._id = self._call(f"POST /containers/{container}/exec", wanted)["Id"]
        self._stream = send_to_engine(
            f"POST /exec/{self._id}/start", {"Detach": False, "Tty": False}, self._left()
        )
        self._rest = b""
        self._began: Optional[bool] = None

    def fileno(self) -> int:
        """Return the descriptor of the output."""
        return self._stream.fileno()

    def read(self) -> Optional[bytes]:
        """Return its output on both streams; None when no frame is complete yet, empty when it has ended."""
        try:
            chunk = self._stream.recv(65536)
        except OSError:
            chunk = b""
        if not chunk:
            return b""
        self._rest += chunk
        if self._began is None:
            head, found, rest = self._rest.partition(b"\r\n\r\n")
            if not found:
                return None
            self._began, self._rest = head[9:12] == b"200", rest
        printed = b""
        if not self._began:
            printed, self._rest = self._rest, b""
        # Each piece follows eight bytes: its kind, and its length in the last four.
        while len(self._rest) >= 8 and len(self._rest) >= 8 + int.from_bytes(self._rest[4:8], "big"):
            whole = 8 + int.from_bytes(self._rest[4:8], "big")
            printed += self._rest[8:whole]
            self._rest = self._rest[whole:]
        return printed or None

    def end(self) -> None:
        """Stop waiting for it. As with the command line, the command itself cannot be ended from here."""
        self._stream.close()

    def status(self) -> int:
        """Return its exit status once its output has ended; FAILED when the engine does not report it."""
        self._stream.close()
        try:
            while self._began:
                found = self._call(f"GET /exec/{self._id}/json")
                if not found["Running"] and found["ExitCode"] is not None:
                    return int(found["ExitCode"])
                if self._left() <= 0.01:
                    return Exit.TIMED_OUT
                # Its output may end a moment before it does, and the engine has no request that waits.
                time.sleep(0.005)
        except (OSError, ValueError, LookupError, TypeError):
            pass
        return Exit.FAILED

    def _left(self) -> float:
        return max(0.01, self._deadline - time.monotonic())

    def _call(self, call: str, content: Any = None) -> Any:
        with send_to_engine(call, content, self._left()) as stream:
            answer = b"".join(iter(lambda: stream.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        if head[9:11] != b"20":
            raise OSError(body.decode("utf-8", "replace"))
        return json.loads(body)


def start_in_container(argv: Sequence[str], deadline: float) -> Optional[ContainerExec]:
    """Start a `docker exec` without options at this user's engine; None when the command line has to run it."""
    container, command = argv[2:3], argv[3:]
    if list(argv[:2]) != ["docker", "exec"] or not command or container[0].startswith("-") or is_elsewhere():
        return None
    try:
        return ContainerExec(container[0], command, deadline)
    except (OSError, ValueError, LookupError):
        # The command line has messages for it.
        return None

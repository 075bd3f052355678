"""A command inside a container, begun at Docker's socket: `docker exec` without its start. Part of step.py."""

from __future__ import annotations

import json
import time

from provisioning.agent.docker_engine import at_socket, elsewhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Inside:
    """What `docker exec CONTAINER COMMAND` would do. Raises OSError where it could not be begun; then nothing runs."""

    def __init__(self, container: str, argv: list[str], ends: float) -> None:
        self._ends = ends
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": argv}
        self._id = self._answer(f"POST /containers/{container}/exec", wanted)["Id"]
        self._stream = at_socket(
            f"POST /exec/{self._id}/start", {"Detach": False, "Tty": False}, self._left()
        )
        self._rest = b""
        self._began: bool | None = None

    def fileno(self) -> int:
        return self._stream.fileno()

    def read(self) -> bytes | None:
        """What it printed of both kinds; None for nothing yet, and nothing at all when it has ended."""
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
        # Each piece comes behind eight bytes: of which kind it is, and how long.
        while len(self._rest) >= 8 and len(self._rest) >= 8 + int.from_bytes(self._rest[4:8], "big"):
            whole = 8 + int.from_bytes(self._rest[4:8], "big")
            printed += self._rest[8:whole]
            self._rest = self._rest[whole:]
        return printed or None

    def end(self) -> None:
        """Wait for it no longer. It cannot be ended from here, as it cannot be by the command line."""
        self._stream.close()

    def status(self) -> int:
        """Its exit status, once there is nothing more to read."""
        self._stream.close()
        try:
            while self._began:
                found = self._answer(f"GET /exec/{self._id}/json")
                if not found["Running"] and found["ExitCode"] is not None:
                    return int(found["ExitCode"])
                if self._left() <= 0.01:
                    return 124
                # Its output may end a moment before it does.
                time.sleep(0.005)
        except (OSError, ValueError, LookupError, TypeError):
            # What became of it, nobody can say.
            pass
        return 1

    def _left(self) -> float:
        return max(0.01, self._ends - time.monotonic())

    def _answer(self, question: str, content: Any = None) -> Any:
        with at_socket(question, content, self._left()) as stream:
            said = b"".join(iter(lambda: stream.recv(65536), b""))
        head, _, body = said.partition(b"\r\n\r\n")
        if head[9:11] != b"20":
            raise OSError(body.decode("utf-8", "replace"))
        return json.loads(body)


def inside(argv: list[str], ends: float) -> Inside | None:
    """A `docker exec` without options, begun where this user's Docker takes it from us; else None."""
    container, command = argv[2:3], argv[3:]
    if argv[:2] != ["docker", "exec"] or not command or container[0].startswith("-") or elsewhere():
        return None
    try:
        return Inside(container[0], command, ends)
    except (OSError, ValueError, LookupError):
        # The command line complains in words that people know.
        return None

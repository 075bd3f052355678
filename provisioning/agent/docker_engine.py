"""Read containers and images from Docker: at the engine's socket, or by the command line.

The command line takes ten to fifty times as long to start as the engine takes to respond.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any, Optional, Union

from provisioning.agent.protocol import Refused

if TYPE_CHECKING:
    import subprocess

SOCKET = "/var/run/docker.sock"
PROJECT = "com.docker.compose.project="


def is_elsewhere() -> bool:
    """Return whether this user's Docker is not the one at the socket: then only the command line finds it."""
    if (
        os.environ.get("DOCKER_HOST", "unix://" + SOCKET) != "unix://" + SOCKET
        or "DOCKER_CONTEXT" in os.environ
    ):
        return True
    try:
        with open(os.path.expanduser("~/.docker/config.json"), encoding="utf-8") as file:
            return bool(json.load(file).get("currentContext", "default") != "default")
    except (OSError, ValueError, AttributeError):
        return False


def has_command() -> bool:
    """Return whether this user has the command line, which all changes need."""
    return any(os.access(os.path.join(folder, "docker"), os.X_OK) for folder in os.get_exec_path())


def send_to_engine(call: str, content: Any = None, seconds: Optional[float] = None) -> socket.socket:
    """Send a call such as `GET /path` with JSON; return the connection that the answer ends with.

    `seconds` is the timeout of each operation on it. Raises OSError when the engine cannot be reached.
    """
    body = b"" if content is None else json.dumps(content).encode()
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(seconds)
        stream.connect(SOCKET)
        # In HTTP/1.0 an answer ends with its connection.
        stream.sendall(f"{call} HTTP/1.0\r\nHost: docker\r\n{more}\r\n".encode() + body)
    except OSError:
        stream.close()
        raise
    return stream


def read_answer(stream: socket.socket) -> Any:
    """Return the JSON that answers a GET, None for 404. Raises Refused for any other status."""
    with stream:
        answer = b"".join(iter(lambda: stream.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12]
    if status == b"404":
        return None
    if status != b"200":
        raise Refused("docker: " + (body or head).decode("utf-8", "replace").strip())
    return json.loads(body)


class Engine:
    """Docker at its socket. All calls are sent at once, and answered while the caller does other work.

    Raises OSError when the engine cannot be reached.
    """

    def __init__(self, project: str, images: bool) -> None:
        filters = json.dumps({"label": [PROJECT + project]}).encode()
        encoded = "".join(f"%{byte:02X}" for byte in filters)
        listed = read_answer(send_to_engine("GET /containers/json?all=1&filters=" + encoded))
        self._images = send_to_engine("GET /images/json") if images else None
        self._containers = [send_to_engine(f"GET /containers/{item['Id']}/json") for item in listed]

    def containers(self) -> list[dict[str, Any]]:
        """Return what `docker inspect` shows of each container of the project."""
        found = map(read_answer, self._containers)
        return [item for item in found if item is not None]

    def images(self) -> list[tuple[str, str, int]]:
        """Return name, id and bytes of each image that has a name."""
        return [
            (name, item["Id"], item["Size"])
            for item in (read_answer(self._images) if self._images else [])
            for name in item["RepoTags"] or []
            if "<none>" not in name
        ]


class CommandLine:
    """Docker by its command line. Its commands run while the caller does other work."""

    def __init__(self, project: str, images: bool) -> None:
        template = "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"
        self._images = _begin("image", "ls", "--no-trunc", "--format", template) if images else None
        listed = _begin("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={PROJECT}{project}")
        ids = _end(listed).split()
        self._containers = _begin("inspect", *ids) if ids else None

    def containers(self) -> list[dict[str, Any]]:
        """Return what `docker inspect` shows of each container of the project."""
        found: list[dict[str, Any]] = json.loads(_end(self._containers)) if self._containers else []
        return found

    def images(self) -> list[tuple[str, str, int]]:
        """Return name, id and bytes of each image that has a name."""
        rows = [row.split() for row in _end(self._images).splitlines()] if self._images else []
        return [
            (name, digest, in_bytes("".join(size))) for name, digest, *size in rows if "<none>" not in name
        ]


def connect_to_docker(project: str, images: bool) -> Union[Engine, CommandLine]:
    """Return this user's Docker: at the socket if it is there, else by the command line."""
    if not is_elsewhere():
        try:
            return Engine(project, images)
        except OSError:
            pass
    return CommandLine(project, images)


def in_bytes(size: str) -> int:
    """Return the bytes of a size as the command line writes it: 79.7MB."""
    number = size.rstrip("kMGTB")
    unit = size[len(number) : len(number) + 1]
    return round(float(number or 0) * {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(unit, 1.0))


def _begin(*argv: str) -> subprocess.Popen[str]:
    # It takes as long to import as the engine to answer, and facts need it only without the socket.
    import subprocess

    try:
        return subprocess.Popen(["docker", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise Refused(f"docker {argv[0]}: {error.strerror}") from error


def _end(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate()
    if process.returncode != 0:
        raise Refused(f"docker: {errors.strip()}")
    return output

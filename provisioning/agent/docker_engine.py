"""What Docker knows: at its socket, or by its command line. Part of the scripts that need it.

Both get their answers in the same place, but the command line takes ten to fifty times as long to start as the daemon
takes to answer.
"""

from __future__ import annotations

import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any

SOCKET = "/var/run/docker.sock"
PROJECT = "com.docker.compose.project="


def elsewhere() -> bool:
    """Whether this user's Docker is another than that of the socket: then only the command line knows where."""
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
    """Whether this user has the command line too, which is what changes things."""
    return any(os.access(os.path.join(place, "docker"), os.X_OK) for place in os.get_exec_path())


def at_socket(question: str, content: Any = None, seconds: float | None = None) -> socket.socket:
    """The connection that the daemon's answer to a question, like `GET /path`, will come from; it ends there.

    Raises OSError where it cannot be asked. `content` goes along as JSON, and nothing takes longer than `seconds`.
    """
    body = b"" if content is None else json.dumps(content).encode()
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(seconds)
        stream.connect(SOCKET)
        # By this version of HTTP an answer ends with its connection.
        stream.sendall(f"{question} HTTP/1.0\r\nHost: docker\r\n{more}\r\n".encode() + body)
    except OSError:
        stream.close()
        raise
    return stream


def answer_from(stream: socket.socket) -> Any:
    """What the daemon says to a GET, None where it knows no such thing."""
    with stream:
        said = b"".join(iter(lambda: stream.recv(1 << 16), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    status = head[9:12]
    if status == b"404":
        return None
    if status != b"200":
        sys.exit("docker: " + (body or head).decode("utf-8", "replace").strip())
    return json.loads(body)


class Daemon:
    """Docker, asked at its socket. It works on its answers while others do something else.

    Raises OSError where nobody answers there.
    """

    def __init__(self, project: str, images: bool) -> None:
        asked = json.dumps({"label": [PROJECT + project]}).encode()
        encoded = "".join(f"%{byte:02X}" for byte in asked)
        listed = answer_from(at_socket("GET /containers/json?all=1&filters=" + encoded))
        self._images = at_socket("GET /images/json") if images else None
        self._containers = [at_socket(f"GET /containers/{item['Id']}/json") for item in listed]

    def containers(self) -> list[dict[str, Any]]:
        """All that is known about each container of the project."""
        found = map(answer_from, self._containers)
        return [item for item in found if item is not None]

    def images(self) -> list[tuple[str, str, int]]:
        """Name, id and size of each image that has a name."""
        return [
            (name, item["Id"], item["Size"])
            for item in (answer_from(self._images) if self._images else [])
            for name in item["RepoTags"] or []
            if "<none>" not in name
        ]


class CommandLine:
    """Docker, wherever the command line finds it. It works on its answers while others do something else."""

    def __init__(self, project: str, images: bool) -> None:
        template = "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"
        self._images = _begin("image", "ls", "--no-trunc", "--format", template) if images else None
        listed = _begin("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={PROJECT}{project}")
        ids = _end(listed).split()
        self._containers = _begin("inspect", *ids) if ids else None

    def containers(self) -> list[dict[str, Any]]:
        """All that is known about each container of the project."""
        found: list[dict[str, Any]] = json.loads(_end(self._containers)) if self._containers else []
        return found

    def images(self) -> list[tuple[str, str, int]]:
        """Name, id and size of each image that has a name."""
        rows = [row.split() for row in _end(self._images).splitlines()] if self._images else []
        return [
            (name, digest, in_bytes("".join(size))) for name, digest, *size in rows if "<none>" not in name
        ]


def way_to_docker(project: str, images: bool) -> Daemon | CommandLine:
    """The quick way where it leads to this user's Docker, else the sure one, whose complaints people know."""
    if not elsewhere():
        try:
            return Daemon(project, images)
        except OSError:
            pass
    return CommandLine(project, images)


def in_bytes(size: str) -> int:
    """A size as the command line writes it: 79.7MB."""
    number = size.rstrip("kMGTB")
    unit = size[len(number) : len(number) + 1]
    return round(float(number or 0) * {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(unit, 1.0))


def _begin(*argv: str) -> subprocess.Popen[str]:
    import subprocess

    try:
        return subprocess.Popen(["docker", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        sys.exit(f"docker {argv[0]}: {error.strerror}")


def _end(asked: subprocess.Popen[str]) -> str:
    said, complaint = asked.communicate()
    if asked.returncode != 0:
        sys.exit(f"docker: {complaint.strip()}")
    return said

"""Docker is asked at its socket where that is this user's Docker, and by its command line everywhere else."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from provisioning.agent import docker_engine
from provisioning.agent.protocol import Refused
from tests.waiting import wait_until

INSPECTED = {"Id": "c1", "Image": "sha256:1", "State": {"Status": "running"}}


class StandIn:
    """A daemon that gives the same answers at its socket as long as it is there; `asked` keeps the questions."""

    def __init__(self, place: Path, answers: dict[str, tuple[int, Any]]) -> None:
        self.asked: list[str] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(place))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            with stream:
                path = unquote(stream.recv(4096).split(b" ")[1].decode())
                self.asked.append(path)
                status, answer = self._answers.get(path.partition("?")[0], (404, {"message": "no such"}))
                head = f"HTTP/1.0 {status} Words\r\nContent-Type: application/json\r\n\r\n"
                stream.sendall(head.encode() + json.dumps(answer).encode())


@pytest.fixture
def answers() -> dict[str, tuple[int, Any]]:
    return {
        "/containers/json": (200, [{"Id": "c1"}, {"Id": "gone"}]),
        "/containers/c1/json": (200, INSPECTED),
        "/images/json": (
            200,
            [
                {"Id": "sha256:1", "RepoTags": ["onebox/api:a", "onebox/api:b"], "Size": 5},
                {"Id": "sha256:2", "RepoTags": ["<none>:<none>"], "Size": 6},
                {"Id": "sha256:3", "RepoTags": None, "Size": 7},
            ],
        ),
    }


@pytest.fixture
def daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, tuple[int, Any]]
) -> Iterator[StandIn]:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    # No docker command: whoever falls back to it, says so.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(docker_engine, "SOCKET", str(tmp_path / "docker.sock"))
    served = StandIn(tmp_path / "docker.sock", answers)
    yield served
    served.stop()


def test_containers_and_images_are_as_the_daemon_has_them(daemon: StandIn) -> None:
    way = docker_engine.connect_to_docker("onebox", images=True)

    assert isinstance(way, docker_engine.Engine)
    assert way.containers() == [INSPECTED], "one that went away in between is left out"
    assert way.images() == [("onebox/api:a", "sha256:1", 5), ("onebox/api:b", "sha256:1", 5)]
    assert daemon.asked[0].endswith('filters={"label": ["com.docker.compose.project=onebox"]}')


def test_the_daemon_works_on_all_questions_while_others_do_something_else(daemon: StandIn) -> None:
    way = docker_engine.connect_to_docker("onebox", images=True)

    wait_until(lambda: len(daemon.asked) >= 4, 10)
    asked = [path.partition("?")[0] for path in daemon.asked]
    assert asked == ["/containers/json", "/images/json", "/containers/c1/json", "/containers/gone/json"]
    assert (len(way.containers()), len(way.images())) == (1, 2)


def test_a_daemon_that_refuses_is_quoted(daemon: StandIn, answers: dict[str, tuple[int, Any]]) -> None:
    answers["/containers/json"] = (500, {"message": "the disk is gone"})

    with pytest.raises(Refused, match="the disk is gone"):
        docker_engine.connect_to_docker("onebox", images=True)


@pytest.mark.parametrize(
    ("variable", "value"), [("DOCKER_HOST", "tcp://10.0.0.1:2375"), ("DOCKER_CONTEXT", "other")]
)
def test_a_docker_elsewhere_is_left_to_the_command_line(
    daemon: StandIn, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(Refused, match="docker image: No such file"):
        docker_engine.connect_to_docker("onebox", images=True)
    assert daemon.asked == []


@pytest.mark.parametrize(("context", "left"), [("default", False), ("rootless", True)])
def test_a_context_of_the_users_settings_is_left_to_the_command_line(
    daemon: StandIn, tmp_path: Path, context: str, left: bool
) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"currentContext": context}))

    assert docker_engine.is_elsewhere() is left


def test_without_a_socket_the_command_line_is_asked(daemon: StandIn, tmp_path: Path) -> None:
    (tmp_path / "docker.sock").unlink()
    command = tmp_path / "docker"
    command.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        '  image) echo "onebox/api:a sha256:1 79.7MB"; echo "<none>:<none> sha256:2 1kB" ;;\n'
        "  ps) echo c1 ;;\n"
        f"  inspect) echo '{json.dumps([INSPECTED])}' ;;\n"
        "esac\n"
    )
    command.chmod(0o755)

    way = docker_engine.connect_to_docker("onebox", images=True)

    assert isinstance(way, docker_engine.CommandLine)
    assert way.containers() == [INSPECTED]
    assert way.images() == [("onebox/api:a", "sha256:1", 79_700_000)]


def test_a_daemon_that_answers_is_not_enough_to_change_the_host(daemon: StandIn, tmp_path: Path) -> None:
    assert not docker_engine.has_command()
    command = tmp_path / "docker"
    command.touch()
    assert not docker_engine.has_command()
    command.chmod(0o755)
    assert docker_engine.has_command()

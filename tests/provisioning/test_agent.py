"""One agent on the host handles all requests of a connection, each in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.codec import decode
from provisioning.agent.observe.messages import FileContents, ReadFacts, ReadFiles
from provisioning.agent.protocol import Frame, Request
from provisioning.errors import DeadlinePassed
from provisioning.host_errors import CommandFailed, ConnectionLost, HostError
from provisioning.ssh import Connection, connect
from provisioning.ssh.archive import pack, sources
from provisioning.ssh.process import Completed
from provisioning.ssh.rpc import Agent
from tests.waiting import wait_until

pytestmark = pytest.mark.process

MESSAGES = """\
from dataclasses import dataclass
from typing import Dict, Optional, Tuple
from provisioning.agent.protocol import Request
@dataclass(frozen=True)
class RunText(Request[None]):
    text: str
    arguments: Tuple[str, ...] = ()
    document: Optional[Dict[str, str]] = None
"""
HANDLER = """\
import sys
def handle(request):
    sys.argv = ["text", *request.arguments]
    exec(request.text, {"document": request.document})
"""


@dataclass(frozen=True)
class RunText(Request[None]):
    """A request of the test: run this text on the host."""

    text: str
    arguments: tuple[str, ...] = ()
    document: dict[str, str] | None = None


@pytest.fixture(autouse=True)
def _agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent, and one request more."""
    files = sources()
    table = "provisioning/agent/dispatch.py"
    files[table] = files[table].replace("= {\n", '= {\n    "RunText": "probe.handler",\n', 1)
    added = {"__init__": "", "messages": MESSAGES, "handler": HANDLER}
    files |= {f"provisioning/agent/probe/{name}.py": text for name, text in added.items()}
    packed = pack(files)
    monkeypatch.setattr("provisioning.ssh.connection.archive", lambda: packed)


def run(
    connection: Connection, text: str, *arguments: str, deadline: float = 10, data: bytes = b""
) -> Completed:
    request = RunText(text, arguments)
    with closing(connection.start_request(request, step="the text", seconds=deadline + 1)) as process:
        return process.wait(deadline, data=data)


@pytest.fixture
def connection(host: Any) -> Iterator[Connection]:
    with connect(host.target) as opened:
        yield opened


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_many_requests_take_one_command_on_the_host(host: Any, connection: Connection) -> None:
    text = "import sys\nprint(sum(map(int, sys.argv[1:])) + int(sys.stdin.read()))\n"

    answers = [run(connection, text, str(n), "10", data=b"100").stdout for n in range(5)]

    assert answers == [f"{n + 110}\n" for n in range(5)]
    assert len(host.sshd.commands) == 1


def test_a_document_that_several_requests_have_travels_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[bytes, int]] = []
    send = Agent.send

    def record(self: Agent, kind: bytes, number: int, content: bytes = b"") -> None:
        sent.append((kind, len(content)))
        send(self, kind, number, content)

    monkeypatch.setattr(Agent, "send", record)
    first, second = ({name: name * 5000} for name in "ab")

    for document in (first, second, first, second):
        request = RunText(
            "print(len(document), *{key: value[:2] for key, value in document.items()}.items())"
        )
        with closing(
            connection.start_request(replace(request, document=document), step="the text")
        ) as process:
            [(name, _)] = document.items()
            assert process.wait(10).stdout == f"1 ({name!r}, {name * 2!r})\n"

    assert [kind for kind, size in sent if size > 5000] == [Frame.VALUE] * 2
    assert [kind for kind, _ in sent].count(Frame.START) == 4


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os; os._exit(3)", 3, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -1, ""),
        ("import sys; print('done', file=sys.stderr)", 0, "done"),
        ("def :", 1, "SyntaxError"),
        (
            "from provisioning.agent.protocol import *\nraise Refused('too bad', Exit.DISK_FULL)",
            28,
            "too bad",
        ),
    ],
)
def test_a_request_ends_with_the_exit_code_and_the_errors_of_its_process(
    connection: Connection, text: str, status: int, said: str
) -> None:
    done = run(connection, text)

    assert done.status == status
    assert said in done.stderr


def test_requests_at_the_same_time_keep_their_streams_and_states_apart(connection: Connection) -> None:
    text = "import os, sys\nos.chdir('/')\ndata = sys.stdin.buffer.read()\nprint(sys.argv[1], len(data), data[-1:])\n"

    def ask(number: int) -> str:
        data = bytes([65 + number]) * (10_000 * number + 1)
        return run(connection, text, str(number), deadline=30, data=data).stdout

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))

    assert answers == [f"{n} {10_000 * n + 1} {bytes([65 + n])!r}\n" for n in range(12)]


def test_much_comes_back_whole(connection: Connection) -> None:
    text = "import sys\nfor n in range(300_000): sys.stdout.write(f'{n}\\n')\n"

    assert run(connection, text, deadline=30).stdout == "".join(f"{n}\n" for n in range(300_000))


def test_a_request_beyond_its_deadline_is_killed_there_with_what_it_started(
    connection: Connection, tmp_path: Path
) -> None:
    noted = tmp_path / "pids"
    text = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "with open(sys.argv[1] + '.new', 'w') as out: out.write(f'{os.getpid()} {child.pid}')\n"
        "os.replace(sys.argv[1] + '.new', sys.argv[1])\n"
        "time.sleep(60)\n"
    )

    with pytest.raises(DeadlinePassed, match="the text"):
        run(connection, text, str(noted), deadline=1.0)

    pids = [int(pid) for pid in noted.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)))
    assert run(connection, "print('here')").stdout == "here\n"


def test_a_request_sees_the_end_of_its_input_when_the_line_is_cut_although_others_run(
    host: Any, tmp_path: Path
) -> None:
    text = (
        "import sys\n"
        "print('here', flush=True)\n"
        "sys.stdin.read()\n"
        "with open(sys.argv[1], 'w') as out: out.write('over')\n"
    )
    ends = [tmp_path / f"end-{number}" for number in range(3)]

    with connect(host.target) as connection:
        runs = [connection.start_request(RunText(text, (str(end),))) for end in ends]
        assert [run.read_line(10) for run in runs] == ["here"] * 3
        host.sshd.cut()

        wait_until(lambda: all(end.exists() and end.read_text() == "over" for end in ends))
        with pytest.raises(ConnectionLost):
            runs[0].wait(5)


def test_an_agent_that_was_killed_ends_its_requests_and_the_next_request_starts_another(
    host: Any, connection: Connection
) -> None:
    text = "import os, sys\nprint(os.getppid(), flush=True)\nsys.stdin.read()\n"
    request = connection.start_request(RunText(text))
    agent = int(request.read_line(10) or 0)

    os.kill(agent, signal.SIGKILL)

    assert request.wait(10).status == -1
    again = run(connection, text).stdout
    assert int(again) != agent
    assert len(host.sshd.commands) == 2


def test_the_archive_has_no_path_and_no_other_user_can_open_it(connection: Connection) -> None:
    text = (
        "import os, sys\n"
        "print(os.readlink(sys.path[0]))\n"
        "print(oct(os.stat(f'/proc/{os.getppid()}/fd').st_mode & 0o777))\n"
    )

    assert run(connection, text).stdout == "/memfd:onebox-agent (deleted)\n0o500\n"


def test_commands_that_a_request_starts_do_not_inherit_the_archive(connection: Connection) -> None:
    text = "import subprocess\nsubprocess.run(['sh', '-c', 'ls -l /proc/self/fd'])\n"

    said = run(connection, text).stdout

    assert "memfd" not in said


def test_a_host_without_python_is_named_as_what_it_is(host: Any, connection: Connection) -> None:
    (host.home / "bin" / "python3").unlink()
    host.sshd.environment["PATH"] = str(host.home / "bin")

    with pytest.raises(CommandFailed, match="status 127") as caught:
        connection.call(ReadFacts("/", "onebox"), deadline=10)

    assert "python3" in caught.value.output


def test_nothing_of_a_request_shows_in_the_hosts_list_of_processes(connection: Connection) -> None:
    said = run(connection, "print(open('/proc/self/cmdline').read())", "an argument", data=b"a value").stdout

    assert "onebox-agent" in said
    assert "an argument" not in said
    assert "a value" not in said


@pytest.mark.parametrize("sudo", [False, True])
def test_a_request_in_an_agent_of_its_own_has_the_same_answer(
    host: Any, connection: Connection, sudo: bool
) -> None:
    host.home.joinpath("file").write_text("content")
    request = ReadFiles(str(host.home), ".", ("file", "none"), 100)

    with closing(connection.start_alone(request, sudo=sudo)) as process:
        done = process.wait(10)

    assert decode(FileContents, done.stdout) == connection.call(request, deadline=10)
    assert "content" not in "".join(host.sshd.commands)


def test_an_answer_of_another_shape_is_an_error_that_shows_it(connection: Connection) -> None:
    @dataclass(frozen=True)
    class Shapeless(Request[FileContents]):
        text: str
        arguments: tuple[str, ...] = ()

    Shapeless.__name__ = "RunText"

    with pytest.raises(HostError, match="cannot be parsed: 'nonsense"):
        connection.call(Shapeless("print('nonsense')"), deadline=10)

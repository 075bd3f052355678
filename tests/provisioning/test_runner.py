"""One Python on the host runs all scripts of a connection, each as if it had a Python of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioning.errors import DeadlinePassed
from provisioning.host_errors import CommandFailed, ConnectionLost
from provisioning.ssh import Connection, connect
from tests.waiting import wait_until

pytestmark = pytest.mark.process

Texts = dict[str, str]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Texts:
    """Scripts of the test in place of those of `provisioning/agent/`."""
    found: Texts = {}
    monkeypatch.setattr("provisioning.ssh.rpc.script", found.__getitem__)
    return found


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


def test_many_scripts_take_one_command_on_the_host(host: Any, texts: Texts, connection: Connection) -> None:
    texts["add.py"] = "import sys\nprint(sum(map(int, sys.argv[1:])) + int(sys.stdin.read()))\n"

    answers = [
        connection.run_script("add.py", str(n), "10", deadline=10, input=b"100").stdout for n in range(5)
    ]

    assert answers == [f"{n + 110}\n" for n in range(5)]
    assert len(host.sshd.commands) == 1


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('too bad')", 1, "too bad"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os; os._exit(3)", 3, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -1, ""),
        ("import sys; print('done', file=sys.stderr)", 0, "done"),
        ("def :", 1, "SyntaxError"),
    ],
)
def test_a_script_ends_as_it_would_with_a_python_of_its_own(
    texts: Texts, connection: Connection, text: str, status: int, said: str
) -> None:
    texts["one.py"] = text

    done = connection.run_script("one.py", deadline=10, check=False)

    assert done.status == status
    assert said in done.stderr


def test_scripts_at_the_same_time_keep_their_streams_and_states_apart(
    texts: Texts, connection: Connection
) -> None:
    texts["echo.py"] = (
        "import os, sys\nos.chdir('/')\ndata = sys.stdin.buffer.read()\nprint(sys.argv[1], len(data), data[-1:])\n"
    )

    def ask(number: int) -> str:
        return connection.run_script(
            "echo.py", str(number), deadline=30, input=bytes([65 + number]) * (10_000 * number + 1)
        ).stdout

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))

    assert answers == [f"{n} {10_000 * n + 1} {bytes([65 + n])!r}\n" for n in range(12)]


def test_much_comes_back_whole(texts: Texts, connection: Connection) -> None:
    texts["much.py"] = "import sys\nfor n in range(300_000): sys.stdout.write(f'{n}\\n')\n"

    done = connection.run_script("much.py", deadline=30)

    assert done.stdout == "".join(f"{n}\n" for n in range(300_000))


def test_a_script_beyond_its_deadline_is_ended_there_with_what_it_started(
    texts: Texts, connection: Connection, tmp_path: Path
) -> None:
    noted = tmp_path / "pids"
    texts["long.py"] = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "with open(sys.argv[1] + '.new', 'w') as out: out.write(f'{os.getpid()} {child.pid}')\n"
        "os.replace(sys.argv[1] + '.new', sys.argv[1])\n"
        "time.sleep(60)\n"
    )

    with pytest.raises(DeadlinePassed, match=r"long\.py"):
        connection.run_script("long.py", str(noted), deadline=1.0)

    pids = [int(pid) for pid in noted.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)))
    texts["next.py"] = "print('here')"
    assert connection.run_script("next.py", deadline=10).stdout == "here\n"


def test_a_script_sees_the_end_of_its_input_when_the_line_is_cut_although_others_run(
    host: Any, texts: Texts, tmp_path: Path
) -> None:
    texts["watch.py"] = (
        "import sys\n"
        "print('here', flush=True)\n"
        "sys.stdin.read()\n"
        "with open(sys.argv[1], 'w') as out: out.write('over')\n"
    )
    ends = [tmp_path / f"end-{number}" for number in range(3)]

    with connect(host.target) as connection:
        runs = [connection.start_script("watch.py", str(end), step="watching") for end in ends]
        assert [run.read_line(10) for run in runs] == ["here"] * 3
        host.sshd.cut()

        wait_until(lambda: all(end.exists() and end.read_text() == "over" for end in ends))
        with pytest.raises(ConnectionLost):
            runs[0].wait(5)


def test_a_runner_that_was_killed_ends_what_waits_for_it_and_the_next_script_gets_a_new_one(
    host: Any, texts: Texts, connection: Connection
) -> None:
    texts["who.py"] = "import os, sys\nprint(os.getppid(), flush=True)\nsys.stdin.read()\n"
    run = connection.start_script("who.py", step="asking")
    runner = int(run.read_line(10) or 0)

    os.kill(runner, signal.SIGKILL)

    assert run.wait(10).status == -1
    again = connection.run_script("who.py", deadline=10).stdout
    assert int(again) != runner
    assert len(host.sshd.commands) == 2


def test_a_script_that_was_sent_ahead_does_not_travel_when_it_is_run(
    texts: Texts, connection: Connection
) -> None:
    texts.update({"first.py": "", "broken.py": "def :", "ahead.py": "print('sent ahead')\n"})
    connection.send_ahead(["ahead.py"])
    connection.run_script("first.py", deadline=10)
    connection.send_ahead(["broken.py", "ahead.py", "first.py"])
    texts["ahead.py"] = "print('sent when it was run')\n"

    assert connection.run_script("ahead.py", deadline=10).stdout == "sent ahead\n"
    assert "SyntaxError" in connection.run_script("broken.py", deadline=10, check=False).stderr


def test_sending_ahead_over_a_line_that_was_cut_is_told_by_the_next_script(
    host: Any, texts: Texts, connection: Connection
) -> None:
    texts.update({"first.py": "", "ahead.py": ""})
    connection.run_script("first.py", deadline=10)
    host.sshd.cut()

    connection.send_ahead(["ahead.py"])

    with pytest.raises(ConnectionLost):
        connection.run_script("ahead.py", deadline=10)


GIVEN = "import json, sys\nprint(sorted(json.loads(GIVEN[sys.argv[1]])))"


def test_what_is_given_by_name_travels_once_and_every_later_script_has_it(
    texts: Texts, connection: Connection
) -> None:
    texts["given.py"] = texts["again.py"] = GIVEN
    said = [
        connection.run_script(name, "words", deadline=10, given={"words": content}).stdout
        for name, content in (("given.py", b'["first"]'), ("again.py", b'["not sent"]'))
    ]

    assert said == ["['first']\n"] * 2


def test_a_new_runner_is_given_again_what_the_one_before_had(texts: Texts, connection: Connection) -> None:
    texts["given.py"] = GIVEN
    texts["end.py"] = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
    connection.run_script("given.py", "few", deadline=10, given={"few": b'["a"]'})
    with pytest.raises((CommandFailed, ConnectionLost)):
        connection.run_script("end.py", deadline=10)

    said = connection.run_script("given.py", "few", deadline=10, given={"few": b'["a"]'}).stdout

    assert said == "['a']\n"


def test_a_host_without_python_is_named_as_what_it_is(host: Any, connection: Connection) -> None:
    (host.home / "bin" / "python3").unlink()
    host.sshd.environment["PATH"] = str(host.home / "bin")

    with pytest.raises(CommandFailed, match="status 127") as caught:
        connection.run_script("facts.py", deadline=10, input=b"{}")

    assert "python3" in caught.value.output


def test_nothing_of_a_request_shows_in_the_hosts_list_of_processes(
    texts: Texts, connection: Connection
) -> None:
    texts["self.py"] = "print(open('/proc/self/cmdline').read())"

    said = connection.run_script("self.py", "an argument", deadline=10, input=b"a value").stdout

    assert "an argument" not in said
    assert "a value" not in said

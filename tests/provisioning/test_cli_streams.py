"""The verbs that hand on what comes: exec, logs and tunnel; and what Ctrl-C does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.lock.holder_file import Holder
from provisioning.agent.lock.messages import ReadLock
from provisioning.operate.logs import WholeLines, of_container
from tests.provisioning.agent_process import call
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.mark.process
def test_exec_hands_on_output_and_ends_with_1_for_any_other_status(host: Any, run: Any) -> None:
    host.push()

    result = run("exec", "api", "--", "sh", "-c", "echo out; echo err >&2; exit 7")

    assert (result.exit_code, result.stdout) == (1, "out\n")
    assert "err\n" in result.stderr
    assert "error: sh ended with status 7 in api" in result.stderr
    shown = json.loads(run("exec", "api", "--json", "--", "echo", "out").stdout)
    assert (shown["status"], shown["stdout"]) == (0, "out\n")


def test_exec_without_a_command_is_wrong_usage(run: Any) -> None:
    assert run("exec", "api").exit_code == 2


@pytest.mark.process
def test_logs_as_json_are_one_object_for_each_line(host: Any, run: Any) -> None:
    host.push()

    lines = run("logs", "api", "--json").stdout.splitlines()

    assert json.loads(lines[-1]) == {"container": "", "line": "line 79 of api"}
    assert len(lines) == 80


def test_a_line_that_comes_in_pieces_is_whole_and_without_what_moves_the_cursor() -> None:
    seen: list[tuple[str, str]] = []
    lines = WholeLines(lambda line: seen.append(of_container(line)))

    for chunk in (
        b"\x1b[2Kapi-1  | on",
        b"e\x1b[31m two | three\napi-1  | ",
        b"\xff\nno container\n",
        b"rest",
    ):
        lines.feed(chunk)

    assert seen == [("api-1", "one two | three"), ("api-1", "\ufffd"), ("", "no container")]
    lines.end()
    assert seen[-1] == ("", "rest")


@pytest.mark.process
def test_logs_that_go_into_a_file_hold_no_codes_of_a_terminal(host: Any, run: Any) -> None:
    host.push()
    (host.docker / "said").write_text("\x1b[2Kapi-1  | \x1b[31mred\x1b[0m\tand tabbed\n")

    assert run("logs", "api").stdout.endswith("line 79 of api\napi-1  | red\tand tabbed\n")


CHILD = """
import sys
from pathlib import Path
from provisioning import cli
from provisioning.cli import session
from provisioning.config.settings import PushSettings, Target
key, host_key, port, root, project = sys.argv[1:6]
target = Target("127.0.0.1", "admin", Path(key), (host_key,), int(port))
settings = PushSettings(target, Path(project), remote_root=root, open_ports=frozenset({22}), min_free_bytes=0)
session.settings = lambda _stack: settings
sys.argv = ["onebox", *sys.argv[6:]]
cli.main()
"""


@pytest.mark.process
@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_an_interrupted_push_ends_with_130_and_the_lock_is_free(host: Any, signals: tuple[int, ...]) -> None:
    (host.docker / "slow").write_text("30")
    given = [str(host.target.private_key_file), host.host_key, str(host.target.port), str(host.root)]
    push = subprocess.Popen(
        [sys.executable, "-c", CHILD, *given, str(host.project), "push", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    wait_until(
        lambda: push.poll() is not None or any(call[0] == "build" for call in _calls(host)), 60, "it builds"
    )
    assert push.poll() is None, push.communicate()

    for number in signals:
        push.send_signal(number)
        # A second Ctrl-C by hand comes while the first is being handled.
        threading.Event().wait(0.1)
    stdout, stderr = push.communicate(timeout=30)

    assert push.returncode == 130, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    if len(signals) == 1:
        assert json.loads(stdout)["exit_code"] == 130
    # It writes its line into the audit log before it goes.
    wait_until(lambda: _holder(host) is None, 60, "the lock is free")


def _holder(host: Any) -> Holder | None:
    return call(ReadLock(str(host.root))).holder


def _calls(host: Any) -> list[list[str]]:
    file = host.docker / "calls.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.process
def test_a_tunnel_ends_with_130_by_ctrl_c(host: Any) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        host.sshd.tunnels[9090] = listener.getsockname()[1]
        given = [str(host.target.private_key_file), host.host_key, str(host.target.port), str(host.root)]
        tunnel = subprocess.Popen(
            [sys.executable, "-c", CHILD, *given, str(host.project), "tunnel", "9090", "--local-port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            text=True,
        )
        assert tunnel.stdout
        assert "is port 9090 of 127.0.0.1" in tunnel.stdout.readline()

        tunnel.send_signal(signal.SIGINT)

        _, stderr = tunnel.communicate(timeout=20)
        assert (tunnel.returncode, stderr) == (130, "interrupted\n")

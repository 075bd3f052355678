"""The verbs that look after a host: what they print, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provisioning import cli
from provisioning.audit import AuditEntry, AuditLog
from provisioning.cli import session
from provisioning.cli.words import ago, size
from provisioning.doctor import Check, Condition, Diagnosis
from provisioning.errors import StackError
from provisioning.lock import LockState
from provisioning.logs import WholeLines, of_container
from provisioning.overview import ContainerUse, Overview
from provisioning.remote import script

ROOT = Path(__file__).parents[2]
RELEASE = "a" * 64
OVERVIEW = Overview(
    release=RELEASE,
    pushed_at="2026-11-23T10:00:00+00:00",
    pushed_by="ann@laptop",
    age_seconds=7300,
    services=(ContainerUse("api", "b" * 64, "running", "healthy", 100 << 20, 512 << 20, 2, 200),),
    split={"MODEL_V1_WEIGHT": "90", "MODEL_V2_WEIGHT": "10"},
    free_bytes=3 << 30,
    total_bytes=8 << 30,
    pushing="",
    drift=("api: it changed",),
)
HELD = LockState(False, "ann@laptop (pid 7)", "push of abc", "today", 4711, 1)


@pytest.fixture
def run(host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(session, "settings", lambda _stack: host.settings())
    return lambda *words: CliRunner().invoke(cli.app, words)


def _returns(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    monkeypatch.setattr(f"provisioning.{name}", lambda *_given, **_more: value)


def test_every_verb_has_a_stack_option_and_json_and_says_its_exit_codes(run: Any) -> None:
    verbs = [line.split()[0] for line in run("--help").stdout.partition("Commands:")[2].splitlines() if line]
    for verb in verbs[: verbs.index("Exit")]:
        text = run(verb, "--help").stdout
        assert "--stack" in text, verb
        assert "--json" in text, verb
        assert "Exit codes: " in text, verb


def test_status_shows_all_that_matters_on_a_few_lines(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "overview.read_overview", OVERVIEW)

    result = run("status")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "release aaaaaaaaaaaa, pushed 2 h ago by ann@laptop",
        "  api              bbbbbbbbbbbb  running (healthy)    up 3 min memory 100 MiB of 512 MiB restarts 2",
        "split   MODEL_V1_WEIGHT 90, MODEL_V2_WEIGHT 10",
        "disk    3.0 GiB free of 8.0 GiB",
        "lock    free",
        "drift   api: it changed",
    ]


def test_status_as_json_is_one_document(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "overview.read_overview", OVERVIEW)

    shown = json.loads(run("status", "--json").stdout)

    assert (shown["release"], shown["well"], shown["drift"]) == (RELEASE, True, ["api: it changed"])
    assert shown["services"][0]["memory_bytes"] == 100 << 20


def test_status_ends_with_3_when_a_service_is_not_healthy(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    sick = replace(OVERVIEW, services=(replace(OVERVIEW.services[0], health="unhealthy"),))
    _returns(monkeypatch, "overview.read_overview", sick)

    assert run("status").exit_code == 3


@pytest.mark.process
def test_a_rollback_that_nobody_can_confirm_shows_its_plan_and_changes_nothing(host: Any, run: Any) -> None:
    first = host.push().release
    (host.project / "ui" / "page.py").write_text("two")
    host.push()
    host.calls()

    result = run("rollback")

    assert result.exit_code == 2
    assert f"back to {first[:12]}" in result.stderr
    assert "web              recreate, about " in result.stderr
    assert " s without answer  (it changed)" in result.stderr
    assert "what differs: web; 1 file" in result.stderr
    assert "nobody is here to say yes; nothing was changed" in result.stderr
    assert host.calls() == []


@pytest.mark.process
def test_a_rollback_with_yes_serves_the_previous_release(
    host: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = host.push().release
    (host.project / "ui" / "page.py").write_text("two")
    host.push()
    monkeypatch.setattr("provisioning.go_back.wait_until_ready", _ready)

    result = run("rollback", "--yes", "--json")

    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["release"], shown["container_actions"]) == (first, ["recreate web"])
    assert (host.root / "current").readlink().name == first


def _ready(settings: Any, _deadline: Any, _report: Any, *, connector: Any, **_more: Any) -> Any:
    return connector(settings.target), ()


@pytest.mark.process
@pytest.mark.parametrize(
    ("wanted", "sentence"), [("ffff", "there is no release ffff"), ("x", "is not the beginning")]
)
def test_a_release_that_there_is_not_ends_with_2(host: Any, run: Any, wanted: str, sentence: str) -> None:
    host.push()

    result = run("rollback", wanted, "--yes", "--json")

    assert result.exit_code == 2
    assert sentence in json.loads(result.stdout)["error"]


@pytest.mark.process
def test_releases_are_listed_with_when_who_and_what_differs(host: Any, run: Any) -> None:
    assert run("releases").stdout == "nothing was pushed yet\n"
    first = host.push().release
    (host.project / "ui" / "page.py").write_text("two")
    second = host.push().release

    lines = run("releases").stdout.splitlines()

    assert lines[0].startswith(f"{second[:12]}  current ")
    assert lines[0].endswith("web; 1 file")
    assert lines[1].startswith(f"{first[:12]}  previous")
    assert lines[1].endswith("the first release")
    shown = json.loads(run("releases", "--json").stdout)
    assert shown["releases"][0]["differences"]["services"] == ["web"]


AUDIT = AuditLog(
    (
        AuditEntry(
            "2026-11-23T10:00:00+00:00", "ann@laptop", "192.0.2.1", "push", RELEASE, "ok", 2.5, "recreate api"
        ),
    ),
    1,
    (),
)


def test_the_audit_log_is_one_line_for_each_deed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "audit.read_audit", AUDIT)

    result = run("audit")

    assert result.stdout == (
        "2026-11-23 10:00:00  push aaaaaaaaaaaa      ok               2.5 s  ann@laptop from 192.0.2.1  recreate api\n"
    )
    assert json.loads(run("audit", "--json").stdout)["entries"][0]["came_from"] == "192.0.2.1"


def test_an_audit_log_that_was_changed_ends_with_1(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "audit.read_audit", AuditLog(AUDIT.entries, 9, (4, 5)))

    result = run("audit")

    assert result.exit_code == 1
    assert "line 4, 5 does not follow" in result.stderr


def test_a_free_lock_ends_with_0_and_a_held_one_with_4(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "lock.read_lock", LockState(True))
    assert (run("lock").exit_code, run("lock").stdout) == (0, "free\n")
    _returns(monkeypatch, "lock.read_lock", HELD)

    result = run("lock", "status", "--json")

    assert result.exit_code == 4
    assert json.loads(result.stdout)["who"] == "ann@laptop (pid 7)"


def test_breaking_a_held_lock_needs_force(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "lock.read_lock", HELD)
    monkeypatch.delattr("provisioning.lock.break_lock")
    monkeypatch.setattr("provisioning.lock.break_lock", None, raising=False)

    result = run("lock", "break")

    assert result.exit_code == 2
    assert "held by ann@laptop (pid 7), push of abc, since today; nothing was changed" in result.stderr


def test_a_broken_lock_says_whose_it_was(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "lock.break_lock", HELD)

    result = run("lock", "break", "--force")

    assert (result.exit_code, result.stdout) == (
        0,
        "broken: it was held by ann@laptop (pid 7), push of abc, since today\n",
    )


def test_the_doctor_names_the_first_broken_rung_with_its_cure(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = (
        Check("TCP", Condition.OK),
        Check("disk", Condition.BROKEN, "0 MiB free", "Prune."),
        Check("lock", Condition.UNKNOWN),
    )
    _returns(monkeypatch, "doctor.examine", Diagnosis(checks))

    result = run("doctor")

    assert result.exit_code == 1
    assert result.stdout.endswith("first broken: disk: 0 MiB free\ncure: Prune.\n")
    assert json.loads(run("doctor", "--json").stdout)["first_broken"] == "disk"


def test_the_doctor_begins_with_the_stack(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_stack: str | None) -> None:
        raise StackError("no stack named 'x' found", hint="`pulumi stack ls` shows them.")

    monkeypatch.setattr(session, "settings", fail)

    result = run("doctor", "--stack", "x")

    assert result.exit_code == 1
    assert (
        "first broken: stack: no stack named 'x' found\ncure: `pulumi stack ls` shows them." in result.stdout
    )


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


@pytest.mark.parametrize("words", [("tunnel", "0"), ("tunnel", "65536"), ("tunnel", "x"), ("tunnel",)])
def test_a_tunnel_to_no_port_is_wrong_usage(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("lock", "steal"),
        ("push", "--lock-wait", "-1"),
        ("push", "--lock-wait", "soon"),
        ("rollback", "--timeout", "0"),
        ("audit", "--tail", "0"),
        ("rollback", "one", "two"),
        ("releases", "--nope"),
    ],
)
def test_wrong_words_end_with_2(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


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
from provisioning.settings import PushSettings, Target
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
    ends = time.monotonic() + 60
    while not any(call[0] == "build" for call in _calls(host)):
        assert push.poll() is None, push.communicate()
        assert time.monotonic() < ends
        time.sleep(0.1)

    for number in signals:
        push.send_signal(number)
        threading.Event().wait(0.1)
    stdout, stderr = push.communicate(timeout=30)

    assert push.returncode == 130, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    if len(signals) == 1:
        assert json.loads(stdout)["exit_code"] == 130
    # It writes its line into the audit log before it goes.
    while _holder(host) is not None:
        assert time.monotonic() < ends
        time.sleep(0.05)


def _holder(host: Any) -> Any:
    request = json.dumps({"root": str(host.root), "break_as": None})
    argv = [sys.executable, "-I", "-c", script("holders.py")]
    done = subprocess.run(argv, input=request, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["holder"]


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


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (200_000, "2 d"), (None, "")],
)
def test_an_age_is_shown_in_one_unit(seconds: float | None, words: str) -> None:
    assert ago(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(None, "?"), (0, "0 MiB"), (512 << 20, "512 MiB"), (3 << 30, "3.0 GiB")]
)
def test_a_size_is_shown_in_the_unit_that_fits(count: int | None, words: str) -> None:
    assert size(count) == words

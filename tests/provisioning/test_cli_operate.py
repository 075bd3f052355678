"""The verbs that look after a host: what they print, and how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.agent.store.messages import AuditLine, AuditLines
from provisioning.cli import session
from provisioning.cli.units import ago, size
from provisioning.errors import StackError
from provisioning.host.lock import LockState
from provisioning.operate.doctor import Check, Condition, Diagnosis
from provisioning.operate.overview import ContainerUse, Overview

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


def _returns(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    monkeypatch.setattr(f"provisioning.{name}", lambda *_given, **_more: value)


def test_every_verb_has_a_stack_option_and_json_and_names_its_exit_codes(run: Any) -> None:
    verbs = [line.split()[0] for line in run("--help").stdout.partition("Commands:")[2].splitlines() if line]
    for verb in verbs[: verbs.index("Exit")]:
        text = run(verb, "--help").stdout
        assert "--stack" in text, verb
        assert "--json" in text, verb
        assert "Exit codes: " in text, verb


def test_status_shows_all_that_matters_on_a_few_lines(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "operate.overview.read_overview", OVERVIEW)

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
    _returns(monkeypatch, "operate.overview.read_overview", OVERVIEW)

    shown = json.loads(run("status", "--json").stdout)

    assert (shown["release"], shown["well"], shown["drift"]) == (RELEASE, True, ["api: it changed"])
    assert shown["services"][0]["memory_bytes"] == 100 << 20


def test_status_ends_with_3_when_a_service_is_not_healthy(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    sick = replace(OVERVIEW, services=(replace(OVERVIEW.services[0], health="unhealthy"),))
    _returns(monkeypatch, "operate.overview.read_overview", sick)

    assert run("status").exit_code == 3


@pytest.mark.process
def test_a_rollback_without_a_terminal_shows_its_plan_and_changes_nothing(host: Any, run: Any) -> None:
    first = host.push().release
    (host.project / "ui" / "page.py").write_text("two")
    host.push()
    host.calls()

    result = run("rollback")

    assert result.exit_code == 2
    assert f"back to {first[:12]}" in result.stderr
    assert "web              recreate, about " in result.stderr
    assert " s of downtime  (it changed)" in result.stderr
    assert "differences: web; 1 file" in result.stderr
    assert "a rollback needs a confirmation, and there is no terminal; nothing was changed" in result.stderr
    assert host.calls() == []


@pytest.mark.process
def test_a_rollback_with_yes_serves_the_previous_release(
    host: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = host.push().release
    (host.project / "ui" / "page.py").write_text("two")
    host.push()
    monkeypatch.setattr("provisioning.deploy.rollback.wait_until_ready", _ready)

    result = run("rollback", "--yes", "--json")

    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["release"], shown["container_actions"]) == (first, ["recreate web"])
    assert (host.root / "current").readlink().name == first


def _ready(settings: Any, _deadline: Any, _report: Any, *, connector: Any, **_more: Any) -> Any:
    return connector(settings.target), ()


@pytest.mark.process
@pytest.mark.parametrize(
    ("wanted", "sentence"), [("ffff", "there is no release ffff"), ("x", "is not a prefix")]
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


AUDIT = AuditLines(
    (
        AuditLine(
            "2026-11-23T10:00:00+00:00", "ann@laptop", "192.0.2.1", "push", RELEASE, "ok", 2.5, "recreate api"
        ),
    ),
    1,
    (),
)


def test_the_audit_log_is_one_line_for_each_deed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "host.audit.read_audit", AUDIT)

    result = run("audit")

    assert result.stdout == (
        "2026-11-23 10:00:00  push aaaaaaaaaaaa      ok               2.5 s  ann@laptop from 192.0.2.1  recreate api\n"
    )
    assert json.loads(run("audit", "--json").stdout)["entries"][0]["came_from"] == "192.0.2.1"


def test_an_audit_log_that_was_changed_ends_with_1(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "host.audit.read_audit", AuditLines(AUDIT.entries, 9, (4, 5)))

    result = run("audit")

    assert result.exit_code == 1
    assert "line 4, 5 does not follow" in result.stderr


def test_a_free_lock_ends_with_0_and_a_held_one_with_4(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "host.lock.read_lock", LockState(True))
    assert (run("lock").exit_code, run("lock").stdout) == (0, "free\n")
    _returns(monkeypatch, "host.lock.read_lock", HELD)

    result = run("lock", "status", "--json")

    assert result.exit_code == 4
    assert json.loads(result.stdout)["who"] == "ann@laptop (pid 7)"


def test_breaking_a_held_lock_needs_force(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "host.lock.read_lock", HELD)
    monkeypatch.delattr("provisioning.host.lock.break_lock")
    monkeypatch.setattr("provisioning.host.lock.break_lock", None, raising=False)

    result = run("lock", "break")

    assert result.exit_code == 2
    assert "held by ann@laptop (pid 7), push of abc, since today; nothing was changed" in result.stderr


def test_a_broken_lock_names_its_holder(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _returns(monkeypatch, "host.lock.break_lock", HELD)

    result = run("lock", "break", "--force")

    assert (result.exit_code, result.stdout) == (
        0,
        "lock broken; it was held by ann@laptop (pid 7), push of abc, since today\n",
    )


def test_the_doctor_names_the_first_broken_rung_with_its_cure(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = (
        Check("TCP", Condition.OK),
        Check("disk", Condition.BROKEN, "0 MiB free", "Prune."),
        Check("lock", Condition.UNKNOWN),
    )
    _returns(monkeypatch, "operate.doctor.examine", Diagnosis(checks))

    result = run("doctor")

    assert result.exit_code == 1
    assert result.stdout.endswith("first failure: disk: 0 MiB free\nremedy: Prune.\n")
    assert json.loads(run("doctor", "--json").stdout)["first_broken"] == "disk"


def test_the_doctor_begins_with_the_stack(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_stack: str | None) -> None:
        raise StackError("no stack named 'x' found", hint="`pulumi stack ls` shows them.")

    monkeypatch.setattr(session, "settings", fail)

    result = run("doctor", "--stack", "x")

    assert result.exit_code == 1
    assert (
        "first failure: stack: no stack named 'x' found\nremedy: `pulumi stack ls` shows them."
        in result.stdout
    )


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

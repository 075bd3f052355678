"""`onebox plan` and `onebox push --plan`: what they print, and how they end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provisioning import cli
from provisioning.deploy.plan_push import Preview
from provisioning.deploy.push import PushResult
from provisioning.errors import PlanRefused, ReleaseError, SettingsError
from provisioning.plan.preview import Forecast, ServiceForecast

API = ServiceForecast("api", "recreate", "tag", "it changed", 3.2, True, "recreate api")
FORECAST = Forecast("b" * 64, "a" * 64, (API,), (), (), (), (), 1, 2048, 4096, 10**9, False)
RESULT = PushResult("b" * 64, True, 3, 1000, ("recreate api",), 2.5, ())
PLAN = {
    "schema": 1,
    "verdict": "changes",
    "host": {"address": "192.0.2.7:22", "keys": [], "root": "/opt/onebox", "project": "onebox"},
    "release": {"digest": "b" * 64},
    "host_state": "c" * 64,
    "services": [{"deed": "recreate api"}],
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("provisioning.cli.session.settings", lambda _stack: None)
    return lambda *words: CliRunner().invoke(cli.app, words)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a plan find this, or fail with this."""

    def let(forecast: Forecast | None, unknown: str = "", error: BaseException | None = None) -> None:
        def preview(*_given: Any, **_more: Any) -> Preview:
            if error:
                raise error
            return Preview(PLAN, forecast, unknown)

        monkeypatch.setattr("provisioning.deploy.plan_push.preview_push", preview)

    return let


def test_something_to_do_ends_with_2_and_is_shown(run: Any, found: Any) -> None:
    found(FORECAST)

    result = run("plan")

    assert result.exit_code == 2
    assert "  api              recreate, about 4 s of downtime  (it changed)" in result.stdout.splitlines()


def test_nothing_to_do_ends_with_0(run: Any, found: Any) -> None:
    found(replace(FORECAST, services=(), nothing_to_do=True))

    result = run("plan")

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "nothing to do")


def test_a_host_that_cannot_be_read_ends_with_1_and_reports_unknown(run: Any, found: Any) -> None:
    found(None, "the host is not ready: TCP: refused")

    result = run("plan")

    assert (result.exit_code, result.stdout) == (1, "unknown: the host is not ready: TCP: refused\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ReleaseError("no models"), 1), (SettingsError("host", "no host"), 1), (KeyboardInterrupt(), 130)],
)
def test_an_error_never_ends_like_something_to_do(
    run: Any, found: Any, error: BaseException, code: int
) -> None:
    found(None, error=error)

    assert run("plan").exit_code == code


@pytest.mark.parametrize("words", [("--nope",), ("--timeout", "0"), ("--timeout", "x"), ("more",)])
def test_wrong_usage_of_plan_ends_with_1(run: Any, words: tuple[str, ...]) -> None:
    assert run("plan", *words).exit_code == 1


def test_the_document_is_all_of_standard_output(run: Any, found: Any) -> None:
    found(FORECAST)

    result = run("plan", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (2, PLAN)


def test_a_plan_written_to_a_file_is_what_push_takes(
    run: Any, found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(FORECAST)
    given: list[Any] = []

    def push(*_given: Any, agreed: Any, **_more: Any) -> Any:
        given.append(agreed)
        return RESULT

    monkeypatch.setattr("provisioning.cli.push.replace", lambda settings, **_more: settings)
    monkeypatch.setattr("provisioning.deploy.push.push_release", push)

    assert run("plan", "--out", str(tmp_path / "plan.json")).exit_code == 2
    assert run("push", "--plan", str(tmp_path / "plan.json")).exit_code == 0

    (agreed,) = given
    assert (agreed.release, agreed.host_state, agreed.actions) == ("b" * 64, "c" * 64, ("recreate api",))


def test_a_plan_that_no_longer_holds_ends_with_1(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: Any, **_more: Any) -> PushResult:
        raise PlanRefused("the host has changed since it was made")

    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    monkeypatch.setattr("provisioning.cli.push.replace", lambda settings, **_more: settings)
    monkeypatch.setattr("provisioning.deploy.push.push_release", refuse)

    result = run("push", "--plan", str(tmp_path / "plan.json"))

    assert result.exit_code == 1
    assert "the plan is refused: the host has changed since it was made; nothing was changed" in result.stderr


def test_a_file_that_is_no_plan_ends_with_2(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plan.json").write_text("{}")
    monkeypatch.setattr("provisioning.cli.push.replace", lambda settings, **_more: settings)

    assert run("push", "--plan", str(tmp_path / "plan.json")).exit_code == 2


def test_the_help_of_plan_names_its_own_exit_codes(run: Any) -> None:
    text = " ".join(run("plan", "--help").stdout.split())

    assert "0 nothing to do; 2 something to do; 1 no plan" in text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("push", "--plan", "no/such.json"), 2, "No such file"),
        (("push", "--plan", "."), 2, "Is a directory"),
        (("plan", "--out", "."), 1, "it is a directory"),
        (("plan", "--out", "no/such/place.json"), 1, "no/such is not a directory"),
        (("push", "--stack", ""), 2, "'' is not the name of a stack"),
        (("plan", "--stack", ""), 1, "is not the name of a stack"),
        (("push", "--stack", "../dev"), 2, "is not the name of a stack"),
        (("push", "--stack", "dev; id"), 2, "is not the name of a stack"),
        (("push", "--stack", "--yes"), 2, "is not the name of a stack"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_stack_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "provisioning.cli.session.settings", lambda _stack: pytest.fail("the stack was asked")
    )

    result = CliRunner().invoke(cli.app, words)

    assert result.exit_code == code
    assert said in result.stderr

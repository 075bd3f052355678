"""A plan as a file: what it looks like, what it is bound to, and what is no plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioning.agent.store.journal_entry import JournalEntry
from provisioning.config.settings import PushSettings, Target
from provisioning.errors import PlanRefused, SettingsError
from provisioning.plan.observed import Container, HostState, LiveData
from provisioning.plan.plan import make_plan
from provisioning.plan.preview import make_forecast
from provisioning.plan.saved_plan import plan_document, read_plan, state_of, unknown_document, write_plan
from provisioning.redaction import Mask
from provisioning.release.release import read_release

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "plan.schema.json").read_text())
STATE = HostState(
    current="a" * 64,
    present=True,
    containers=(Container("c1", "api", "d", "onebox/api:d", "sha", "running", "healthy", "ok"),),
    live={"RULES": LiveData("e", "e")},
    journal=JournalEntry(at="today", release="a" * 64),
    free_bytes=5,
)


@pytest.fixture
def settings(project: Path, tmp_path: Path, make_key: Any) -> PushSettings:
    host_key = make_key(tmp_path / "host_key")
    make_key(tmp_path / "login_key")
    return PushSettings(Target("192.0.2.7", "admin", tmp_path / "login_key", (host_key,)), project)


@pytest.fixture
def document(settings: PushSettings) -> dict[str, Any]:
    release = read_release(settings.project_root, {})
    state = HostState(needed=frozenset(file.sha256 for file in release.files))
    forecast = make_forecast(release, make_plan(release, state), state, (), ("", ""), Mask.of(()))
    return plan_document(settings, forecast, state)


def valid(document: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(document))


def test_the_schema_is_one_and_a_plan_follows_it(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)


def test_a_plan_of_a_host_that_cannot_be_read_follows_the_schema(settings: PushSettings) -> None:
    answer = unknown_document(settings, "a" * 64, "no answer")
    jsonschema.validate(answer, SCHEMA)
    assert (answer["verdict"], answer["services"]) == ("unknown", [])


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "perhaps"},
        {"schema": 2},
        {"more": 1},
        {"host_state": "short"},
        {"services": [{"service": "api"}]},
        {"verdict": "unknown"},
        {"verdict": "changes", "disk": None},
    ],
)
def test_what_is_no_plan_does_not_follow_the_schema(document: dict[str, Any], change: dict[str, Any]) -> None:
    assert not valid({**document, **change})


def test_every_field_of_a_plan_is_described(document: dict[str, Any]) -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        found = []
        for name, field in schema.get("properties", {}).items():
            found += [] if "description" in field or "$ref" in field else [f"{path}/{name}"]
            found += undescribed(field, f"{path}/{name}") + undescribed(
                field.get("items", {}), f"{path}/{name}"
            )
        return found

    assert undescribed(SCHEMA, "") == []
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"]) == set(document)


@pytest.mark.parametrize(
    "change",
    [
        {"current": "b" * 64},
        {"present": False},
        {"problems": ("changed x",)},
        {"data_problems": {"d": ("changed x",)}},
        {"live": {"RULES": LiveData("e", "")}},
        {"containers": (replace(STATE.containers[0], id="c2"),)},
        {"containers": (replace(STATE.containers[0], health="unhealthy"),)},
        {"containers": ()},
        {"needed": frozenset("f")},
        {"journal": {"at": "later", "release": "a" * 64}},
    ],
)
def test_what_a_push_goes_by_moves_the_host(change: dict[str, Any]) -> None:
    assert state_of(replace(STATE, **change)) != state_of(STATE)


@pytest.mark.parametrize(
    "change",
    [
        {"free_bytes": 6},
        {"holder": "ann"},
        {"containers": (replace(STATE.containers[0], said="other words"),)},
        {"data_problems": {"d": ()}},
        {"images": {"busybox:1": "x"}},
        {"measured": {"api": (1.0,)}},
    ],
)
def test_what_a_push_does_not_go_by_leaves_a_plan_in_force(change: dict[str, Any]) -> None:
    assert state_of(replace(STATE, **change)) == state_of(STATE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a plan: it is not JSON"),
        ("[" * 100_000, "is not a plan: it is not JSON"),
        ("[]", "is not a plan of this version"),
        ('{"schema": 99}', "is not a plan of this version"),
        ('{"schema": 1, "verdict": "changes"}', "is an incomplete plan"),
        (
            '{"schema": 1, "host": 5, "release": {"digest": ""}, "host_state": "", "services": []}',
            "is an incomplete plan",
        ),
    ],
)
def test_a_file_that_is_no_plan_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(SettingsError, match=sentence) as caught:
        read_plan(tmp_path / "plan.json")

    assert caught.value.exit_code == 2
    assert "onebox plan --out" in caught.value.hint


@pytest.mark.parametrize("name", ["absent.json", "."])
def test_a_plan_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be read: ") as caught:
        read_plan(tmp_path / name)

    assert "onebox plan --out" in caught.value.hint


def test_a_plan_about_which_nothing_was_known_cannot_be_pushed(
    settings: PushSettings, tmp_path: Path
) -> None:
    write_plan(unknown_document(settings, "a" * 64, "no answer"), tmp_path / "plan.json")

    with pytest.raises(PlanRefused, match="the host could not be read"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize("name", ["absent/plan.json", "."])
def test_a_plan_that_cannot_be_written_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="the plan cannot be written"):
        write_plan({}, tmp_path / name)

    assert [path.name for path in tmp_path.iterdir()] == []

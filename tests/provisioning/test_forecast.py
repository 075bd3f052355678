"""What a plan tells about services, values, the split and the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.plan.disk import IMAGE_BYTES, needed_bytes
from provisioning.plan.observed import Container, HostState
from provisioning.plan.plan import make_plan
from provisioning.plan.preview import Forecast, make_forecast
from provisioning.plan.render import in_units, plain, plan_lines, short_lines
from provisioning.redaction import Mask
from provisioning.release.manifest import Release
from provisioning.release.release import read_release

COMPOSE = "${MODEL_V1_WEIGHT:-50} ${MODEL_V2_WEIGHT:-50}"


@pytest.fixture
def release(project: Path) -> Release:
    return read_release(project, {})


def as_pushed(release: Release, **more: Any) -> HostState:
    state = HostState(
        current=release.digest,
        current_release=release,
        present=True,
        containers=tuple(
            Container(f"id-{name}", name, part.digest, part.image, f"sha-{name}", "running", "healthy")
            for name, part in release.services.items()
        ),
        images={part.image: f"sha-{name}" for name, part in release.services.items()},
        free_bytes=10 * 1024**3,
    )
    return replace(state, **more)


def forecast_of(
    release: Release, state: HostState, compose: tuple[str, str] = (COMPOSE, COMPOSE)
) -> Forecast:
    return make_forecast(release, make_plan(release, state), state, (), compose, Mask.of(()))


def with_api(found: HostState, /, **changes: Any) -> HostState:
    api, *others = found.containers
    return replace(found, containers=(replace(api, **changes), *others))


def first(forecast: Forecast) -> str:
    return str(forecast.services[0])


def test_a_host_as_pushed_is_said_to_have_nothing_to_do(release: Release) -> None:
    forecast = forecast_of(release, as_pushed(release))

    assert [str(item) for item in forecast.services] == ["nothing", "nothing"]
    assert forecast.nothing_to_do
    assert forecast.disk_needed == 0
    assert short_lines(forecast) == ["nothing to do on the host"]


def test_a_service_that_was_never_timed_gets_a_stated_guess(release: Release) -> None:
    state = with_api(as_pushed(release, images={}), digest="old")

    assert first(forecast_of(release, state)) == (
        "rebuild and recreate, about 10 s of downtime, never measured here"
    )


def test_the_seconds_without_answer_are_the_median_of_what_the_journal_has(release: Release) -> None:
    state = with_api(as_pushed(release, measured={"api": (3.2, 90.0, 4.1)}), digest="old")

    assert first(forecast_of(release, state)) == "recreate, about 5 s of downtime"


def test_a_service_that_does_not_answer_now_loses_no_answers(release: Release) -> None:
    pushed = as_pushed(release)

    assert first(forecast_of(release, with_api(pushed, state="exited", digest="old"))) == "recreate"
    assert first(forecast_of(release, with_api(pushed, state="exited"))) == "start"
    assert first(forecast_of(release, replace(pushed, containers=(), images={}))) == "build and create"


def test_the_split_is_told_before_and_after_with_the_defaults_of_each_compose_file(release: Release) -> None:
    state = as_pushed(release, current_release=replace(release, environment={"MODEL_V1_WEIGHT": "70"}))

    forecast = forecast_of(release, state, (COMPOSE, COMPOSE.replace("50", "10")))

    assert forecast.split_changed
    assert "split 70/50 -> 10/10" in plan_lines(forecast)


def test_a_split_that_stays_is_said_to_stay(release: Release) -> None:
    assert "split 50/50, unchanged" in plan_lines(forecast_of(release, as_pushed(release)))


def test_a_first_release_has_a_split_and_no_other_before(release: Release) -> None:
    assert "split 50/50" in plan_lines(forecast_of(release, HostState()))


def test_changed_values_are_shown_and_secret_ones_only_by_name(release: Release) -> None:
    current = replace(release, environment={"API_TOKEN": "hunter2", "LEVEL": "low"})
    wanted = replace(release, environment={"API_TOKEN": "hunter3", "LEVEL": "high"})

    lines = plan_lines(forecast_of(wanted, as_pushed(release, current_release=current)))

    assert "value API_TOKEN: '***' -> '***'" in lines
    assert "value LEVEL: 'low' -> 'high'" in lines
    assert "hunter" not in "\n".join(lines)


def test_what_was_changed_on_the_host_is_named_as_a_repair(release: Release) -> None:
    state = with_api(as_pushed(release, problems=("changed ui/page.py",)), state="exited")

    lines = plan_lines(forecast_of(release, state))

    assert "repair: changed ui/page.py" in lines
    assert "repair: api: its container is exited" in lines


def test_the_disk_that_is_needed_counts_files_data_and_images(release: Release) -> None:
    whole = sum(file.size for file in release.files)
    sent = sum({file.sha256: file.size for file in release.files}.values())
    data = release.data["ONEBOX_MODELS_DIR"].digest
    state = HostState(
        needed=frozenset(file.sha256 for file in release.files),
        data_problems={data: ("missing model.onnx",)},
        problems=("missing",),
    )

    needed = needed_bytes(release, make_plan(release, state), state)

    assert needed == 2 * sent + whole + len("model") + 2 * IMAGE_BYTES


def test_an_image_counts_as_large_as_the_one_it_replaces(release: Release) -> None:
    state = with_api(as_pushed(release), digest="old", image="onebox/api:old")
    state = replace(state, images={}, image_bytes={"onebox/api:old": 1000, "other": 500})

    assert needed_bytes(release, make_plan(release, state), state) == 1000


def test_too_little_room_is_said(release: Release) -> None:
    state = with_api(as_pushed(release, images={}, free_bytes=5), digest="old")

    assert plan_lines(forecast_of(release, state))[-1] == "warning: that is more than the host has"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024**2, "5.0 MiB"), (3 * 1024**3, "3.0 GiB")],
)
def test_bytes_are_told_in_units(count: int, shown: str) -> None:
    assert in_units(count) == shown


def test_a_line_cannot_move_the_cursor_of_the_terminal_that_shows_it() -> None:
    assert plain("a\x1b[2Jb\tc\r") == "a�[2Jb\tc�"


@pytest.mark.parametrize("pushed", [True, False])
def test_what_a_push_would_only_clean_up_is_named(release: Release, pushed: bool) -> None:
    state = as_pushed(release, leftovers=("incoming/a.part-1",))
    if not pushed:
        state = replace(state, current_release=None)
    plan = make_plan(release, state)

    forecast = forecast_of(release, state)

    line = "repair: left by an unfinished push, to be removed: incoming/a.part-1"
    assert (forecast.nothing_to_do, plan.summary) == (False, "clean up only")
    assert line in plan_lines(forecast)
    assert line in short_lines(forecast)

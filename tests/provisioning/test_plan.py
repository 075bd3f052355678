"""The plan, from what is wanted and what was found; and the commands that carry it out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.host.docker_commands import Project
from provisioning.plan.observed import Container, HostState
from provisioning.plan.plan import make_plan
from provisioning.release.environment import environment_text
from provisioning.release.manifest import Release
from provisioning.release.release import read_release


@pytest.fixture
def release(project: Path) -> Release:
    return read_release(project, {})


def _as_pushed(release: Release) -> HostState:
    return HostState(
        current=release.digest,
        present=True,
        containers=tuple(
            Container(f"id-{name}", name, part.digest, part.image, f"sha-{name}", "running", "healthy")
            for name, part in release.services.items()
        ),
        images={part.image: f"sha-{name}" for name, part in release.services.items()},
    )


def _with_api(found: HostState, **changes: Any) -> HostState:
    api, *others = found.containers
    return replace(found, containers=(replace(api, **changes), *others))


def test_a_host_as_pushed_has_nothing_to_do(release: Release) -> None:
    plan = make_plan(release, _as_pushed(release))

    assert plan.nothing_to_do
    assert [str(action) for action in plan.actions] == ["nothing api", "nothing web"]


def test_an_empty_host_gets_everything(release: Release) -> None:
    needed = frozenset(file.sha256 for file in release.files)

    plan = make_plan(release, HostState(needed=needed, problems=("missing app/server.py",)))

    assert [str(action) for action in plan.actions] == ["build+recreate api", "build+recreate web"]
    assert {file.sha256 for file in plan.uploads} == needed
    assert (plan.publish, plan.switch) == (True, True)


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"digest": "old"}, "recreate api"),
        ({"image": "other:1"}, "recreate api"),
        ({"image_id": "other"}, "recreate api"),
        ({"state": "exited"}, "start api"),
        ({"state": "created", "health": ""}, "start api"),
        ({"health": "unhealthy"}, "recreate api"),
        ({"health": "starting"}, "start api"),
        ({"health": ""}, "nothing api"),
    ],
)
def test_a_container_gets_what_it_needs_and_no_more(
    release: Release, changes: dict[str, str], action: str
) -> None:
    plan = make_plan(release, _with_api(_as_pushed(release), **changes))

    assert [str(item) for item in plan.actions] == [action, "nothing web"]


def test_an_image_that_was_built_from_the_same_files_is_only_named_anew(release: Release) -> None:
    build = release.services["api"].build or ""
    state = _with_api(_as_pushed(release), digest="old", image="onebox/api:old")
    state = replace(state, images={"onebox/api:old": "sha-api"}, builds={"api": {build: "onebox/api:old"}})

    action = make_plan(release, state).actions[0]

    assert (str(action), action.tag_from) == ("tag+recreate api", "onebox/api:old")


def test_an_image_that_is_gone_is_built_again(release: Release) -> None:
    build = release.services["api"].build or ""
    state = _with_api(_as_pushed(release), digest="old")
    state = replace(state, images={}, builds={"api": {build: "onebox/api:old"}})

    assert str(make_plan(release, state).actions[0]) == "build+recreate api"


def test_changed_data_recreates_only_the_service_that_mounts_it(release: Release) -> None:
    digest = release.data["ONEBOX_MODELS_DIR"].digest
    state = replace(_as_pushed(release), data_problems={digest: ("changed model.onnx",)})

    plan = make_plan(release, state)

    assert [str(action) for action in plan.container_actions] == ["recreate api"]
    assert plan.publish


def test_a_changed_file_of_the_release_is_published_without_touching_a_container(release: Release) -> None:
    plan = make_plan(release, replace(_as_pushed(release), problems=("changed ui/page.py",)))

    assert (plan.publish, plan.container_actions) == (True, ())


def test_a_container_of_no_service_is_removed(release: Release) -> None:
    state = _as_pushed(release)
    orphan = replace(state.containers[0], service="old")

    plan = make_plan(release, replace(state, containers=(*state.containers, orphan)))

    assert [str(action) for action in plan.container_actions] == ["remove old"]


def test_of_two_containers_of_a_service_the_running_one_counts(release: Release) -> None:
    state = _as_pushed(release)
    dead = replace(state.containers[0], state="exited", digest="old")

    assert make_plan(release, replace(state, containers=(dead, *state.containers))).nothing_to_do


def test_compose_runs_in_the_releases_own_directory_under_a_fixed_name() -> None:
    project = Project("onebox", "/opt/onebox", "abc")

    assert project.recreate("flask-api", 120) == [
        *("docker", "compose", "--project-name", "onebox"),
        *("--project-directory", "/opt/onebox/releases/abc"),
        *("--file", "/opt/onebox/releases/abc/docker-compose.yml"),
        *("--env-file", "/opt/onebox/releases/abc/release.env"),
        *("up", "--detach", "--no-deps", "--no-build", "--force-recreate", "--wait", "--wait-timeout=120"),
        "flask-api",
    ]


def test_the_env_file_names_digests_data_and_values(project: Path) -> None:
    release = read_release(project, {"MODEL_V1_WEIGHT": "7$0 #x"})

    lines = environment_text(release, "/opt/onebox").splitlines()

    assert f"ONEBOX_API_DIGEST='{release.services['api'].digest}'" in lines
    assert f"ONEBOX_MODELS_DIR='/opt/onebox/data/{release.data['ONEBOX_MODELS_DIR'].digest}'" in lines
    assert "MODEL_V1_WEIGHT='7$0 #x'" in lines

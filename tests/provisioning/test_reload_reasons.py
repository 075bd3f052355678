"""Why a running service has to take something up, in the words of the plan."""

from __future__ import annotations

import pytest

from provisioning.config.service_facts import API_CODE, MODELS
from provisioning.plan.observed import Container, HostState, LiveData
from provisioning.plan.plan import ContainerWork, service_actions
from provisioning.release.manifest import DataDirectory, Release, ServiceRecord

RULES = "ONEBOX_RULES_DIR"
NAMES = (API_CODE.variable, MODELS.variable, RULES)
SERVICE = ServiceRecord("d", None, "image:d", NAMES, "ONEBOX_API_DIGEST", "SIGHUP")
CONTAINER = Container("c", "api", "d", "image:d", "i", "running", "healthy")


def planned(live: dict[str, LiveData]) -> tuple[ContainerWork, str]:
    state = HostState(containers=(CONTAINER,), images={"image:d": "i"}, live=live)
    data = {name: DataDirectory(name, "new", ()) for name in NAMES}
    (action,) = service_actions(Release("r", (), {"api": SERVICE}, data), state)
    return action.container, action.reason


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        ([API_CODE.variable], "its code changed"),
        ([MODELS.variable], "its models changed"),
        ([RULES], "its data changed"),
        ([API_CODE.variable, MODELS.variable], "its code and models changed"),
    ],
)
def test_what_changed_is_named(old: list[str], reason: str) -> None:
    live = {name: LiveData("old" if name in old else "new", "new") for name in NAMES}

    assert planned(live) == (ContainerWork.RELOAD, reason)


def test_what_was_changed_by_hand_or_was_never_confirmed_is_read_again() -> None:
    live = {name: LiveData("new", "new") for name in NAMES}
    assert planned(live) == (ContainerWork.NOTHING, "")

    by_hand = {**live, API_CODE.variable: LiveData("new", "new", ("changed routes.py",))}
    assert planned(by_hand) == (ContainerWork.RELOAD, "its data on the host was changed: changed routes.py")

    unconfirmed = {**live, RULES: LiveData("new", "")}
    assert planned(unconfirmed) == (ContainerWork.RELOAD, "it has not confirmed that it loaded its data")


def test_a_container_whose_data_is_gone_is_made_anew_whatever_else_changed() -> None:
    live = {API_CODE.variable: LiveData("old", "old"), RULES: LiveData("new", "new")}

    assert planned(live) == (ContainerWork.RECREATE, "its data is not on the host")

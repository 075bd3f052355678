"""What somebody who looks after a host sees at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.identity import whoami
from provisioning.operate.overview import read_overview


@pytest.mark.process
def test_the_overview_tells_release_age_health_split_disk_lock_memory_and_restarts(host: Any) -> None:
    release = host.push().release
    state = host.state()
    state["containers"]["web"]["restarts"] = 3
    (host.docker / "state.json").write_text(json.dumps(state))

    found = read_overview(host.settings())

    assert (found.release, found.pushed_by, found.well) == (release, whoami(), True)
    assert found.age_seconds is not None
    assert 0 <= found.age_seconds < 60
    assert dict(found.split) == {"MODEL_V1_WEIGHT": "70"}
    assert 0 < found.free_bytes <= found.total_bytes
    assert (found.pushing, found.drift) == ("", ())
    api, web = found.services
    assert (api.service, api.state, api.health) == ("api", "running", "healthy")
    assert (api.memory_bytes, api.memory_limit_bytes) == (int(100.5 * (1 << 20)), 512 << 20)
    assert api.uptime_seconds is not None
    assert (api.restarts, web.restarts) == (0, 3)
    assert "hidden" not in json.dumps(found.as_json())


@pytest.mark.process
def test_a_host_without_a_release_has_an_overview_too(host: Any) -> None:
    found = read_overview(host.settings())

    assert (found.release, found.pushed_at, found.age_seconds, found.services) == (None, None, None, ())


@pytest.mark.process
@pytest.mark.parametrize("change", [{"state": "exited"}, {"health": "unhealthy"}])
def test_a_service_that_is_down_or_unhealthy_is_not_well(host: Any, change: dict[str, str]) -> None:
    host.push()
    state = host.state()
    state["containers"]["api"].update(change)
    (host.docker / "state.json").write_text(json.dumps(state))

    found = read_overview(host.settings())

    assert not found.well
    assert [service.well for service in found.services] == [False, True]

"""A change that fails is undone, and an undo that fails too is reported after the first cause."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.deploy.rollback import plan_rollback, roll_back
from provisioning.errors import RestoreFailed, ServiceFailure, UnhealthyRelease
from provisioning.host.drift import read_status
from provisioning.host_errors import HostError
from provisioning.services.smoke import smoke

pytestmark = pytest.mark.process


def pushed_and_changed(host: Any) -> str:
    """Push, change the API afterwards; return the digest of the release that serves."""
    release: str = host.push().release
    (host.project / "app" / "server.py").write_text("changed")
    return release


def last_entry(host: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((host.root / "journal.jsonl").read_text().splitlines()[-1])
    return found


def test_a_push_reports_why_it_failed_then_why_its_undo_failed_then_the_next_step(host: Any) -> None:
    first = pushed_and_changed(host)
    (host.docker / "unhealthy").write_text("api")

    with pytest.raises(UnhealthyRelease) as caught:
        host.push()

    reason = "its health check reports unhealthy: connection refused"
    assert str(caught.value) == (
        f"api of the new release is not healthy: {reason}; "
        f"the previous release {first[:12]} could not be restored: api: {reason}"
    )
    assert caught.value.hint.endswith(
        "`onebox status` shows what serves now; then push a tree that works, "
        "or run `onebox rollback` to a retained release."
    )
    assert (caught.value.restored, caught.value.exit_code) == (None, 3)
    assert last_entry(host)["outcome"] == caught.value.outcome


def test_a_rollback_reports_both_failures_in_the_same_way(host: Any) -> None:
    pushed_and_changed(host)
    second = host.push().release
    plan = plan_rollback(host.settings())
    (host.docker / "unhealthy").write_text("api")

    with pytest.raises(
        UnhealthyRelease, match=f"release {second[:12]} could not be restored: api: its health"
    ):
        roll_back(host.settings(), plan, run_dir=str(host.home / "cloud-init"))

    assert last_entry(host)["result"] == "failed"


def test_an_error_that_no_service_made_is_reported_before_the_failed_undo(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed_and_changed(host)

    def broken(*_given: Any) -> None:
        (host.docker / "unhealthy").write_text("api")
        raise HostError("the answer makes no sense")

    monkeypatch.setattr("provisioning.deploy.apply.smoke", broken)

    with pytest.raises(
        RestoreFailed, match=r"^the answer makes no sense; the previous release .* not be restored: api"
    ):
        host.push()


def test_an_error_that_no_service_made_is_raised_as_it_is_when_the_undo_succeeds(
    host: Any, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pushed_and_changed(host)

    def broken(*_given: Any) -> None:
        raise HostError("the answer makes no sense")

    monkeypatch.setattr("provisioning.deploy.apply.smoke", broken)

    with pytest.raises(HostError, match=r"^the answer makes no sense$"):
        host.push(events)

    assert f"warning: the previous release {first[:12]} serves again" in events.text()
    assert read_status(host.settings()).release == first


def test_a_line_that_is_lost_before_the_undo_hides_no_cause_and_the_next_push_continues(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed_and_changed(host)

    def lost(connection: Any, *_given: Any) -> None:
        connection.close()
        raise ServiceFailure("web", "it answers 500")

    monkeypatch.setattr("provisioning.deploy.apply.smoke", lost)

    with pytest.raises(
        UnhealthyRelease, match="web of the new release is not healthy: it answers 500; the previous"
    ):
        host.push()

    monkeypatch.setattr("provisioning.deploy.apply.smoke", smoke)
    result = host.push()
    assert result.warnings[0].endswith("; continuing")
    assert read_status(host.settings()).drift == ()


def test_a_failure_of_the_first_stop_is_reported_after_the_first_cause(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host.docker / "unhealthy").write_text("api")

    def broken(*_given: Any) -> None:
        raise HostError("docker does not answer")

    monkeypatch.setattr("provisioning.deploy.apply.stop_unhealthy", broken)

    with pytest.raises(UnhealthyRelease) as caught:
        host.push()

    assert caught.value.outcome == (
        "there is no previous release to restore, and the unhealthy services could not be stopped: "
        "docker does not answer"
    )

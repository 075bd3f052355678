"""Rows F3 and F10: a host that has not finished booting, or whose Docker is not there for us."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provisioning.errors import NotReady
from provisioning.host.readiness import DAEMON_GRACE_SECONDS
from tests.e2e.faults.figures import figure

if TYPE_CHECKING:
    from tests.e2e.faults.real_host import RealHost
    from tests.e2e.faults.small import Small

pytestmark = pytest.mark.e2e

RUN = "/run/cloud-init"


@contextmanager
def cloud_init_says(host: RealHost, result: object, status: object = None) -> Iterator[None]:
    """Other words of cloud-init for a while; None: no such file."""
    host.sh(f"rm -rf /run/kept; mkdir /run/kept; cp -aL {RUN}/result.json {RUN}/status.json /run/kept/")
    for name, content in (("result", result), ("status", status)):
        file = f"{RUN}/{name}.json"
        if content is None and name == "result":
            host.inside("rm", file)
        elif content is not None:
            host.inside("sh", "-c", f"rm {file}; cat > {file}", given=json.dumps(content))
    try:
        yield
    finally:
        host.sh(f"rm -f {RUN}/result.json {RUN}/status.json; cp -a /run/kept/* {RUN}/; rm -r /run/kept")


def test_f3_cloud_init_is_waited_for_its_warnings_are_shown_and_its_failure_ends_the_push(
    small_project: Callable[[str], Small], host: RealHost
) -> None:
    small = small_project("boot")
    waits = 3.0
    began = time.monotonic()
    with cloud_init_says(host, None):
        finish = threading.Timer(
            waits, lambda: host.inside("sh", "-c", f"cp /run/kept/result.json {RUN}/result.json")
        )
        finish.start()
        small.push()
        finish.join()
    waited = time.monotonic() - began
    assert waited >= waits

    odd = {"v1": {"init": {"recoverable_errors": {"WARNING": ["a mirror did not answer"]}}}}
    with cloud_init_says(host, {"v1": {"errors": []}}, odd):
        assert "cloud-init: a mirror did not answer" in small_project("odd").push().warnings

    # Only a host that never took a release has to show that it can.
    new = small_project("failed")
    with (
        cloud_init_says(host, {"v1": {"errors": ["('scripts_user', RuntimeError('1 failed'))"]}}),
        pytest.raises(NotReady) as failed,
    ):
        new.push()
    assert "cloud-init: failed" in str(failed.value)
    assert "scripts_user" in str(failed.value)
    assert "cloud-init-output.log" in failed.value.hint
    assert failed.value.waited < 5
    assert new.ids() == {}
    figure(
        "F3",
        "cloud-init running: waited for; with recoverable errors: warned and went on; failed: its words after "
        f"{failed.value.waited:.1f} s, nothing touched (3 of 3)",
    )


def refused(small: Small, step: str) -> NotReady:
    """A push that finds out at the host; nothing of it is touched."""
    with pytest.raises(NotReady) as error:
        small.push(deadline_seconds=900)
    assert error.value.step == step, error.value
    assert error.value.exit_code == 1
    assert error.value.hint
    assert "\n" not in str(error.value)
    return error.value


def test_f10_without_docker_its_daemon_or_the_right_to_it_one_sentence_says_so_with_its_cure(
    small_project: Callable[[str], Small], host: RealHost, late_user: str
) -> None:
    small = small_project("docker")
    small.push()
    release, ids, waited = small.current(), small.ids(), []
    small.write("blobs/one", "two\n")

    program = host.inside("readlink", "-f", "/usr/bin/docker").strip()
    host.inside("mv", program, f"{program}.away")
    try:
        waited.append(refused(small, "Docker").waited)
    finally:
        host.inside("mv", f"{program}.away", program)

    host.inside("systemctl", "stop", "docker.socket", "docker.service")
    try:
        error = refused(small, "Docker daemon")
        assert "systemctl status docker" in error.hint
        assert error.waited < DAEMON_GRACE_SECONDS + 10
        waited.append(error.waited)
    finally:
        host.inside("systemctl", "start", "docker.service", "docker.socket")

    host.write_key(late_user)
    host.sh(f"chown -R {late_user} {small.root}")
    stranger = replace(
        small,
        host=replace(host, settings=replace(host.settings, target=replace(host.target, user=late_user))),
    )
    error = refused(stranger, "Docker daemon")
    assert "this user may not use it" in str(error)
    assert "group docker" in error.hint
    waited.append(error.waited)
    host.sh(f"chown -R {host.target.user} {small.root}")

    assert (small.current(), small.ids()) == (release, ids)
    assert host.healthy(small.name)
    assert small.push().release == small.current() != release
    figure(
        "F10",
        "docker command gone, daemon stopped, user not in its group: one sentence and the cure after "
        f"{', '.join(f'{seconds:.0f}' for seconds in waited)} s, containers untouched 3 of 3",
    )

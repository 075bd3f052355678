"""`make up` on a fresh checkout: a host that serves, seen with the eyes of each of its users."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

from tests.e2e.conftest import STACK
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Checkout

pytestmark = pytest.mark.e2e

CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def counted(checkout: Checkout, query: str) -> float:
    answer = requests.get(
        f"{checkout.outputs()['prometheus_url']}/api/v1/query", params={"query": query}, timeout=10
    )
    result = answer.json()["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def test_make_up_prints_where_everything_is(first_light: tuple[Checkout, str]) -> None:
    checkout, said = first_light
    outputs = checkout.outputs()
    for name in ("api_url", "ui_url", "prometheus_url", "ssh_command"):
        assert outputs[name] in said


def test_the_api_answers_with_a_prediction_and_the_version_that_made_it(rehearsal: Checkout) -> None:
    answer = rehearsal.predict()
    assert answer["class"] == "setosa"
    assert answer["prediction"] == 0
    assert answer["model_version"] in {"v1", "v2"}
    assert answer["prediction_id"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_wrong_input_is_the_callers_problem_and_no_model_error(rehearsal: Checkout) -> None:
    url = rehearsal.outputs()["api_url"]
    answer = requests.post(f"{url}/predict", json={"features": [5.1, 3.5, "1.4", 0.2]}, timeout=10)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    metrics = requests.get(f"{url}/metrics", timeout=10).text
    assert re.search(r"^prediction_errors_total 0\.0$", metrics, re.MULTILINE)


def test_prometheus_has_the_api_as_a_target_and_counts_predictions(rehearsal: Checkout) -> None:
    wait_until(lambda: counted(rehearsal, 'up{job="flask-api"}') == 1)
    before = counted(rehearsal, "prediction_requests_total")
    for _ in range(20):
        rehearsal_answer = requests.post(
            f"{rehearsal.outputs()['api_url']}/predict", json={"features": [6, 3, 5, 2]}, timeout=10
        )
        assert rehearsal_answer.status_code == 200
    wait_until(lambda: counted(rehearsal, "prediction_requests_total") >= before + 20)


def test_prometheus_has_loaded_the_alert_rules(rehearsal: Checkout) -> None:
    answer = requests.get(f"{rehearsal.outputs()['prometheus_url']}/api/v1/rules", timeout=10).json()
    names = {rule["name"] for group in answer["data"]["groups"] for rule in group["rules"]}
    assert {"HighErrorRate", "HighLatency", "ModelDrift"} <= names


def test_the_ui_shows_a_prediction_after_a_click(rehearsal: Checkout, tmp_path: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(rehearsal.outputs()["ui_url"])
        page.get_by_role("button", name="Get Prediction").click()
        expect(page.get_by_text(re.compile("setosa|versicolor|virginica")).first).to_be_visible(
            timeout=30_000
        )
        expect(page.get_by_text(re.compile(r"\bv[12]\b")).first).to_be_visible()
        page.screenshot(path=str(tmp_path / "prediction.png"))
        browser.close()
    assert (tmp_path / "prediction.png").stat().st_size > 10_000


def test_the_printed_ssh_command_works_with_strict_host_key_checking(rehearsal: Checkout) -> None:
    assert "StrictHostKeyChecking=yes" in rehearsal.outputs()["ssh_command"]
    assert rehearsal.on_host("id -un").strip() == "admin"


def test_another_host_key_is_refused_by_the_printed_command(rehearsal: Checkout) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    command = rehearsal.outputs()["ssh_command"].replace(rehearsal.outputs()["host_public_key"], other)
    done = subprocess.run(
        [*shlex.split(command), "-o", "BatchMode=yes", "true"],
        cwd=rehearsal.root,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_the_host_presents_a_key_that_never_stood_in_user_data(rehearsal: Checkout) -> None:
    own = rehearsal.outputs()["host_public_key"].split()[1]
    assert own in rehearsal.on_host("ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null")
    user_data = rehearsal.on_host("sudo cat /var/lib/cloud/seed/nocloud/user-data")
    assert "BEGIN OPENSSH PRIVATE KEY" in user_data
    assert own not in user_data


def test_the_key_of_the_first_contact_is_gone_from_disk_and_encrypted_in_the_state(
    rehearsal: Checkout,
) -> None:
    # What the metadata service serves stays what it was, here as on EC2: it is worthless after the first push.
    found = rehearsal.on_host(
        "sudo grep -rlF 'BEGIN OPENSSH PRIVATE KEY' /var/lib/cloud /run/cloud-init /root /home 2>/dev/null || true"
    ).split()
    assert [file for file in found if not file.startswith("/var/lib/cloud/seed/")] == []
    state = rehearsal.do("pulumi", "stack", "export", "--stack", STACK)
    assert "OPENSSH PRIVATE KEY" not in state


def test_cloud_init_had_no_complaints(rehearsal: Checkout) -> None:
    assert "status: done" in rehearsal.on_host("cloud-init status")
    assert "Valid schema" in rehearsal.on_host("sudo cloud-init schema --system 2>&1 || true")


def test_the_containers_are_confined_as_the_compose_file_says(rehearsal: Checkout) -> None:
    found = rehearsal.on_host(
        "docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.Config.User}} "
        "{{.HostConfig.Privileged}} {{.HostConfig.Memory}}' "
        "$(docker ps -q --filter label=com.docker.compose.project=onebox)"
    ).splitlines()
    assert len(found) == 3
    for line in found:
        assert line.startswith("true [ALL] 10001:10001 false ")
        assert not line.endswith(" 0")

"""A stack's life after the first light: nothing to do, drift, changes, failures, ports, the end and a new beginning.

The tests run in this order on one stack; each leaves it serving.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from playwright.sync_api import expect, sync_playwright

from provisioning.config.pulumi_state import read_checkpoint
from tests.e2e.conftest import STACK, changed
from tests.e2e.test_first_light import CHROMIUM_FLAGS
from tests.e2e.watch import Watch

if TYPE_CHECKING:
    from tests.e2e.conftest import Checkout

pytestmark = pytest.mark.e2e


def can_connect(url: str) -> bool:
    try:
        requests.get(url, timeout=3)
    except requests.ConnectionError:
        return False
    return True


def docker(*argv: str) -> list[str]:
    done = subprocess.run(["docker", *argv], check=True, capture_output=True, text=True)
    return done.stdout.split()


def left_on_this_machine() -> dict[str, list[str]]:
    """What of the stack's cloud still exists on the machine's Docker."""
    label = f"label=io.onebox.cloud={STACK}"
    return {
        "containers": docker("ps", "-aq", "--filter", label),
        "volumes": docker("volume", "ls", "-q", "--filter", f"name=onebox-{STACK}-i-"),
    }


def test_preview_right_after_says_unchanged(rehearsal: Checkout) -> None:
    said = rehearsal.pulumi("preview", "--expect-no-changes")
    assert re.search(r"\d+ unchanged", said)


def test_up_with_nothing_to_do_touches_neither_files_nor_containers(rehearsal: Checkout) -> None:
    containers = rehearsal.containers()
    said = rehearsal.pulumi("up", "--expect-no-changes")
    assert "upload" not in said
    assert rehearsal.containers() == containers


def test_what_onebox_reads_of_the_stack_without_the_engine_is_what_the_engine_says(
    rehearsal: Checkout,
) -> None:
    said = rehearsal.outputs()
    environment = {"PULUMI_BACKEND_URL": f"file://{rehearsal.root}/.onebox/state"}

    assert read_checkpoint(rehearsal.root, STACK, list(said), environment) == said


def test_onebox_push_with_nothing_to_do_uploads_nothing_and_touches_no_container(rehearsal: Checkout) -> None:
    containers = rehearsal.containers()
    done = rehearsal.run("onebox", "push", "--stack", STACK, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["changed"] is False
    assert (result["uploaded_files"], result["uploaded_bytes"], result["container_actions"]) == (0, 0, [])
    assert rehearsal.containers() == containers


def test_make_up_again_changes_nothing(rehearsal: Checkout) -> None:
    containers = rehearsal.containers()
    said = rehearsal.do("make", "up")
    assert re.search(r"\d+ unchanged", said)
    assert rehearsal.containers() == containers


def test_status_and_logs_tell_about_the_host(rehearsal: Checkout) -> None:
    status = rehearsal.run("onebox", "status", "--stack", STACK, "--json")
    assert status.returncode == 0, status.stderr
    facts = json.loads(status.stdout)
    assert facts["release"] == rehearsal.outputs()["release"]
    assert facts["drift"] == []
    assert rehearsal.do("onebox", "logs", "flask-api", "--stack", STACK)


def test_refresh_sees_a_tampered_release_and_the_next_up_repairs_it(rehearsal: Checkout) -> None:
    rehearsal.on_host("echo '# tampered' >> /opt/onebox/current/app/api/routes.py")
    said = rehearsal.pulumi("refresh")
    assert "app/api/routes.py" in said
    assert "1 to update" in rehearsal.pulumi("preview")
    rehearsal.pulumi("up")
    assert "tampered" not in rehearsal.on_host("cat /opt/onebox/current/app/api/routes.py")
    assert "app/api/routes.py" not in rehearsal.pulumi("refresh")
    rehearsal.pulumi("preview", "--expect-no-changes")


def code_in_force(rehearsal: Checkout) -> dict[str, Any]:
    """What the API says of the code that answers."""
    found: dict[str, Any] = requests.get(f"{rehearsal.outputs()['api_url']}/config", timeout=5).json()["code"]
    return found


def test_a_changed_line_of_the_api_is_taken_up_by_the_container_that_runs_and_no_prediction_is_lost(
    rehearsal: Checkout,
) -> None:
    before = rehearsal.containers()
    old_code = code_in_force(rehearsal)["serving"]
    old_release = rehearsal.outputs()["release"]
    file = rehearsal.root / "app" / "api" / "routes.py"
    file.write_text(file.read_text() + "# A line more.\n")
    preview = rehearsal.pulumi("preview", "--diff")
    assert "digest" in preview
    assert "1 to update" in preview
    watch = Watch(f"{rehearsal.outputs()['api_url']}/predict")
    with watch.going_on():
        rehearsal.pulumi("up")
    assert rehearsal.containers() == before
    assert rehearsal.outputs()["release"] != old_release
    code = code_in_force(rehearsal)
    assert code["serving"] != old_code
    assert code["refused"] is None
    print(f"{watch.asked} predictions while the code changed, {len(watch.lost)} lost")
    assert watch.asked > 20
    assert watch.lost == []


def test_the_next_click_in_a_browser_that_is_open_shows_a_changed_page(rehearsal: Checkout) -> None:
    before = rehearsal.containers()
    file = rehearsal.root / "ui" / "app_pages" / "predict.py"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(rehearsal.outputs()["ui_url"])
        slider = page.get_by_role("slider").first
        slider.press("ArrowRight")
        set_to = slider.get_attribute("aria-valuenow")
        page.get_by_role("button", name="Get Prediction").click()
        expect(page.get_by_text("Answered by model")).to_be_visible(timeout=30_000)
        with changed(file, file.read_text().replace("Answered by model", "The answer of model")):
            rehearsal.do("onebox", "push", "--stack", STACK)
            page.get_by_role("button", name="Get Prediction").click()
            expect(page.get_by_text("The answer of model")).to_be_visible(timeout=30_000)
            assert slider.get_attribute("aria-valuenow") == set_to
        browser.close()
    assert rehearsal.containers() == before
    rehearsal.do("onebox", "push", "--stack", STACK)
    assert rehearsal.containers() == before


def test_a_changed_image_of_the_api_recreates_the_api_alone(rehearsal: Checkout) -> None:
    before = rehearsal.containers()
    file = rehearsal.root / "images" / "api" / "Dockerfile"
    file.write_text(file.read_text() + "# A line more.\n")
    rehearsal.pulumi("up")
    after = rehearsal.containers()
    assert {name for name in before if before[name] != after[name]} == {"flask-api"}
    rehearsal.predict()


def test_an_api_that_never_gets_ready_fails_the_update_and_the_old_one_goes_on(
    rehearsal: Checkout,
) -> None:
    before = rehearsal.containers()
    release = rehearsal.outputs()["release"]
    server = rehearsal.root / "app" / "runtime" / "main.py"
    broken = 'raise SystemExit("this release is broken on purpose")\n'
    with changed(server, broken):
        failed = rehearsal.run(
            "pulumi", "up", "--stack", STACK, "--non-interactive", "--yes", "--skip-preview"
        )
    said = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "flask-api" in said
    assert "this release is broken on purpose" in said
    assert rehearsal.predict()["class"] == "setosa"
    assert rehearsal.containers() == before
    assert rehearsal.on_host("cat /opt/onebox/current/manifest.json").find(release) != -1
    rehearsal.pulumi("up")


def test_an_image_that_cannot_be_built_fails_the_update_with_its_reason_and_touches_nothing(
    rehearsal: Checkout,
) -> None:
    before = rehearsal.containers()
    file = rehearsal.root / "images" / "api" / "Dockerfile"
    with changed(file, f'{file.read_text()}RUN /srv/venv/bin/python -c "import nothing_of_that_name"\n'):
        failed = rehearsal.run("onebox", "push", "--stack", STACK)
    assert failed.returncode == 1
    assert "the image of flask-api cannot be built" in failed.stderr
    assert "No module named 'nothing_of_that_name'" in failed.stderr
    assert rehearsal.containers() == before


def test_a_port_removed_from_the_configuration_is_closed_and_put_back_it_is_open(rehearsal: Checkout) -> None:
    url = rehearsal.outputs()["prometheus_url"]
    file = rehearsal.root / f"Pulumi.{STACK}.yaml"
    assert can_connect(url)
    config = yaml.safe_load(file.read_text())
    del config["config"]["onebox:prometheusCidrs"]
    with changed(file, yaml.safe_dump(config)):
        rehearsal.pulumi("up")
        assert not can_connect(url)
        assert can_connect(rehearsal.outputs()["api_url"])
    rehearsal.pulumi("up")
    assert can_connect(url)


def test_the_aws_stack_previews_the_same_resources_with_another_configuration(rehearsal: Checkout) -> None:
    file = rehearsal.root / "Pulumi.dev.yaml"
    local = yaml.safe_load((rehearsal.root / f"Pulumi.{STACK}.yaml").read_text())["config"]
    config = yaml.safe_load(file.read_text())
    # Only where the API answers and whose keys log in: everything else is the file as it is for AWS.
    for key, value in local.items():
        if key.startswith("aws:") or key in {
            "onebox:awsPluginVersion",
            "onebox:sshPublicKeyFile",
            "onebox:sshPrivateKeyFile",
        }:
            config["config"][key] = value
    with changed(file, yaml.safe_dump(config)):
        rehearsal.do("pulumi", "stack", "init", "dev", "--secrets-provider", "passphrase", "--no-select")
        done = rehearsal.run("pulumi", "preview", "--stack", "dev", "--non-interactive", "--json")
        rehearsal.do("pulumi", "stack", "rm", "dev", "--yes", "--force", "--preserve-config")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads(done.stdout)["steps"]
    dev = sorted(step["urn"].split("::")[2].split("$")[-1] for step in steps)
    exported = json.loads(rehearsal.run("pulumi", "stack", "export", "--stack", STACK).stdout)
    here = sorted(
        resource["type"]
        for resource in exported["deployment"]["resources"]
        if not resource["type"].startswith("pulumi:providers:")
    )
    rule = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    assert [kind for kind in dev if kind != rule] == [kind for kind in here if kind != rule]
    assert (dev.count(rule), here.count(rule)) == (3, 4)


def test_destroy_leaves_nothing_and_make_up_works_again(rehearsal: Checkout) -> None:
    rehearsal.pulumi("destroy")
    assert left_on_this_machine() == {"containers": [], "volumes": []}
    state = json.loads(rehearsal.run("pulumi", "stack", "export", "--stack", STACK).stdout)
    assert not [
        resource["urn"]
        for resource in state["deployment"].get("resources", [])
        if not resource["type"].startswith("pulumi:")
    ]
    rehearsal.do("make", "up")
    assert rehearsal.predict()["class"] == "setosa"


def test_make_down_ends_the_cloud_too(rehearsal: Checkout) -> None:
    rehearsal.do("make", "down")
    assert left_on_this_machine() == {"containers": [], "volumes": []}
    assert docker("network", "ls", "-q", "--filter", f"name=onebox-{STACK}$") == []
    still = subprocess.run(
        ["pgrep", "-f", f"infra.local serve .*{rehearsal.root}"], capture_output=True, check=False
    )
    assert still.returncode == 1

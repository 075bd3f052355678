"""The stack's own release: what a plan says is what a push does, the way back, and a secret that stays one."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from tests.e2e.conftest import STACK, changed

if TYPE_CHECKING:
    from tests.e2e.conftest import Checkout

pytestmark = pytest.mark.e2e

RULES = Path("monitoring/rules/alerts.yml")
LASTING = 7200
SECRET = "e2e_token"


def code_lines(root: Path, kept: ExitStack) -> None:
    for file in (root / "app" / "api" / "routes.py", root / "ui" / "app_pages" / "drift.py"):
        kept.enter_context(changed(file, file.read_text() + "# A line more.\n"))


def image_line(root: Path, kept: ExitStack) -> None:
    file = root / "images" / "api" / "Dockerfile"
    kept.enter_context(changed(file, file.read_text() + "# A line more.\n"))


def alert_rule(root: Path, kept: ExitStack) -> None:
    rules = yaml.safe_load((root / RULES).read_text())
    rules["groups"][0]["rules"][0]["for"] = f"{LASTING}s"
    kept.enter_context(changed(root / RULES, yaml.safe_dump(rules)))


def models_alone(root: Path, kept: ExitStack) -> None:
    file = root / "app" / "artifacts" / "note.txt"
    file.write_text("The same models, with a word about them.\n")
    kept.callback(file.unlink)


CHANGES: dict[str, tuple[Callable[[Path, ExitStack], None], list[str]]] = {
    "one line of the app and one of a page": (code_lines, ["reload flask-api", "reload streamlit-ui"]),
    "one line of its image": (image_line, ["build+recreate flask-api"]),
    "one alert rule": (alert_rule, ["reload prometheus"]),
    "the models alone": (models_alone, ["reload flask-api"]),
}


@pytest.fixture(scope="module")
def tree(rehearsal: Checkout) -> Iterator[tuple[Checkout, ExitStack]]:
    """The checkout with changes that pile up, and that are all taken back at the end."""
    with ExitStack() as kept:
        yield rehearsal, kept
    rehearsal.do("onebox", "push", "--stack", STACK)


def asked(checkout: Checkout, *argv: str, status: int = 0) -> Any:
    """The JSON that a verb of `onebox` prints."""
    done = checkout.run("onebox", *argv, "--stack", STACK, "--json")
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def lasting_in_force(checkout: Checkout) -> float:
    """How long the first alert has to last, as Prometheus itself shows it."""
    answer = requests.get(f"{checkout.outputs()['prometheus_url']}/api/v1/rules", timeout=10).json()
    name = yaml.safe_load((checkout.root / RULES).read_text())["groups"][0]["rules"][0]["alert"]
    found = [rule for group in answer["data"]["groups"] for rule in group["rules"] if rule["name"] == name]
    return float(found[0]["duration"])


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_plan_says_is_what_the_push_does(tree: tuple[Checkout, ExitStack], change: str) -> None:
    checkout, kept = tree
    before = checkout.containers()
    make, deeds = CHANGES[change]
    make(checkout.root, kept)

    plan = asked(checkout, "plan", status=2)
    assert checkout.containers() == before, "looking changes nothing"
    result = asked(checkout, "push")

    said = [item["deed"] for item in plan["services"] if item["deed"]]
    assert said == result["container_actions"] == deeds
    assert result["release"] == plan["release"]["digest"]
    assert result["uploaded_files"] == plan["upload"]["files"]
    recreated = {item["service"] for item in plan["services"] if "recreate" in item["action"]}
    after = checkout.containers()
    assert {name for name in before if before[name] != after[name]} == recreated
    assert asked(checkout, "plan")["verdict"] == "nothing"
    checkout.predict()


def test_a_rollback_brings_images_code_models_and_rules_back_together(
    tree: tuple[Checkout, ExitStack],
) -> None:
    checkout, _ = tree
    assert lasting_in_force(checkout) == LASTING
    listed = asked(checkout, "releases")["releases"]
    oldest = checkout.outputs()["release"]
    assert [item["current"] for item in listed[:5]] == [True, False, False, False, False]
    prometheus = checkout.containers()["prometheus"]

    result = asked(checkout, "rollback", oldest[:12], "--yes")

    print(f"rollback over four releases (code, image, models, rules): {result['seconds']:.1f} s")
    assert result["release"] == oldest
    assert result["seconds"] < 30
    assert lasting_in_force(checkout) != LASTING
    assert checkout.containers()["prometheus"] == prometheus
    seen = checkout.on_host("docker exec onebox-flask-api-1 ls -L /srv/models/ 2>/dev/null || true").split()
    assert "manifest.json" in seen
    assert "note.txt" not in seen
    assert asked(checkout, "status")["drift"] == []
    checkout.predict()


def where_it_shows(checkout: Checkout, mark: str) -> list[str]:
    """Every place of the host and of the state in which a value can be read that is not the file of the secret."""
    script = f"""
        look() {{ grep -qF -- '{mark}' && echo "$1" || true; }}
        docker inspect $(docker ps -aq) | look inspect
        for image in $(docker image ls -q); do docker history --no-trunc $image; done | look history
        docker image inspect $(docker image ls -q) | look image
        for id in $(docker ps -aq); do docker logs $id 2>&1; done | look log
        cat /opt/onebox/*.jsonl /opt/onebox/logs/* | look journal
        sudo find /opt/onebox -path /opt/onebox/secrets -prune -o -type f -exec cat {{}} + | look files
        sudo sh -c 'cat /proc/[0-9]*/environ' 2>/dev/null | tr '\\0' '\\n' | look environ
        sudo journalctl --no-pager --quiet | look system
        sudo cat /var/lib/cloud/seed/nocloud/user-data | look user-data
    """
    found = checkout.on_host(script).split()
    for words in (["stack", "export"], ["stack", "output", "--json"], ["config"]):
        if mark in checkout.do("pulumi", *words, "--stack", STACK):
            found.append(" ".join(words))
    return found


def test_a_secret_of_a_service_shows_nowhere_and_a_new_value_recreates_its_reader_alone(
    rehearsal: Checkout,
) -> None:
    compose, config = rehearsal.root / "docker-compose.yml", rehearsal.root / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load(compose.read_text())
    document["services"]["flask-api"].setdefault("secrets", []).append(SECRET)
    document["secrets"][SECRET] = {"file": f"${{ONEBOX_SECRET_{SECRET.upper()}:-/dev/null}}"}
    key = f"onebox:serviceSecrets.{SECRET}"
    mark = f"canary-{secrets.token_hex(8)}"
    values = [f"{mark}-{number}" for number in range(2)]
    with changed(compose, yaml.safe_dump(document, sort_keys=False)), changed(config, config.read_text()):
        ids = []
        for value in values:
            rehearsal.do("pulumi", "config", "set", "--stack", STACK, "--secret", "--path", key, value)
            said = rehearsal.pulumi("up")
            assert mark not in said
            assert rehearsal.on_host(f"docker exec onebox-flask-api-1 cat /run/secrets/{SECRET}") == value
            ids.append(rehearsal.containers())
        assert where_it_shows(rehearsal, mark) == []
        assert {name for name in ids[0] if ids[0][name] != ids[1][name]} == {"flask-api"}
    rehearsal.pulumi("up")

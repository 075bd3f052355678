"""Plans of the fake host, and changes to what they are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from provisioning.deploy.plan_push import Preview, preview_push

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "plan.schema.json").read_text())


RULES = """\
  rules:
    build: ./images/rules
    x-onebox-reload: SIGHUP
    image: onebox/rules:${ONEBOX_RULES_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_RULES_DIGEST:-dev}"}
    volumes: ["${ONEBOX_RULES_DIR:-./rules}:/etc/rules:ro"]
"""


def write(host: Any, path: str, text: str) -> None:
    (host.project / path).parent.mkdir(parents=True, exist_ok=True)
    (host.project / path).write_text(text)


def change_container(host: Any, service: str, **more: Any) -> None:
    state = host.state()
    if more:
        state["containers"][service].update(more)
    else:
        del state["containers"][service]
    (host.docker / "state.json").write_text(json.dumps(state))


def preview(host: Any, **more: Any) -> Preview:
    return preview_push(host.settings(**more))


def with_rules(host: Any) -> Any:
    """With a third service, which reads its data anew on a signal."""
    write(host, "images/rules/Dockerfile", "FROM scratch\n")
    write(host, "rules/alerts.yml", "groups: []\n")
    write(host, "docker-compose.yml", (host.project / "docker-compose.yml").read_text() + RULES)
    return host

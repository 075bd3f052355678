"""A project whose services read secrets."""

from __future__ import annotations

from pathlib import Path

from provisioning.config.secrets import ServiceSecrets

KEY = "k" * 64


CANARY = "canary-7f3a-öä"


def with_secrets(project: Path, web_user: str = "10001:10001") -> Path:
    """The project, with a secret for each of its two services and one for the image build."""
    file = project / "docker-compose.yml"
    text = file.read_text()
    text = text.replace("  api:\n", '  api:\n    user: "10001:10001"\n    secrets: [api_token]\n')
    text = text.replace("  web:\n", f'  web:\n    user: "{web_user}"\n    secrets: [{{source: page_key}}]\n')
    text += (
        "secrets:\n"
        "  api_token: {file: '${ONEBOX_SECRET_API_TOKEN:-/dev/null}'}\n"
        "  page_key: {file: '${ONEBOX_SECRET_PAGE_KEY:-/dev/null}'}\n"
        "  ca_bundle: {file: '${ONEBOX_CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}'}\n"
    )
    file.write_text(text)
    return project


def secrets(key: str = KEY, **values: str) -> ServiceSecrets:
    return ServiceSecrets(values, key)

"""Pulumi.<stack>.yaml of a rehearsal: `python -m infra.local config | python -m infra.local.stack_config FILE`.

The file belongs to the user. What is there stays; what the stack needs and the file lacks is added; only the facts
of the running cloud (where it answers) are brought up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from infra.local.provider import VERSION

KEY_FILE: Final = ".onebox/id_ed25519"
HEADER: Final = """\
# The rehearsal's values, written by `make up`: yours to edit. Only the local cloud's addresses are kept up to date.
# Not for git: addresses, certificates and the encryption salt are this machine's.
"""


def facts(cloud: dict[str, Any]) -> dict[str, Any]:
    """Return the values that the running cloud alone determines, by config key."""
    return {
        "aws:region": cloud["region"],
        "aws:endpoints": [{"ec2": cloud["endpoint"]}],
        "onebox:registryMirror": cloud["registry_mirror"],
    }


def defaults(cloud: dict[str, Any]) -> dict[str, Any]:
    """Return the initial values of a rehearsal, by config key: all four ports open to this machine alone."""
    here = [cloud["gateway_cidr"]]
    return {
        "aws:skipCredentialsValidation": True,
        "aws:skipMetadataApiCheck": True,
        "aws:skipRequestingAccountId": True,
        "onebox:awsPluginVersion": VERSION,
        "onebox:sshPublicKeyFile": f"{KEY_FILE}.pub",
        "onebox:sshPrivateKeyFile": KEY_FILE,
        "onebox:extraCaFiles": cloud["ca_files"],
        "onebox:sshCidrs": list(here),
        "onebox:apiCidrs": list(here),
        "onebox:uiCidrs": list(here),
        "onebox:prometheusCidrs": list(here),
    }


def merge(existing: dict[str, Any], cloud: dict[str, Any]) -> dict[str, Any]:
    """Return the file's content with current facts and, on a file without configuration, the defaults."""
    config = dict(existing.get("config") or {})
    if not config:
        config = defaults(cloud)
    return {**existing, "config": {**config, **facts(cloud)}}


def main() -> int:
    """Bring FILE up to date; it is written only when something changes."""
    file = Path(sys.argv[1])
    existing = (yaml.safe_load(file.read_text()) or {}) if file.is_file() else {}
    wanted = merge(existing, json.load(sys.stdin))
    if wanted != existing:
        partial = file.with_name(f".{file.name}.partial")
        partial.write_text(HEADER + yaml.safe_dump(wanted, sort_keys=True, width=120))
        partial.replace(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())

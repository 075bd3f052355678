"""A process that pushes: one line of settings in, one line about the outcome out, until its input ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from provisioning.config.settings import PushSettings, Target
from provisioning.deploy.push import push_release
from provisioning.errors import ProvisioningError

for line in sys.stdin:
    spec = json.loads(line)
    target = Target(spec["host"], spec["user"], Path(spec["key"]), tuple(spec["host_keys"]), spec["port"])
    settings = PushSettings(
        target,
        Path(spec["project"]),
        remote_root=spec["root"],
        project_name=spec["name"],
        open_ports=frozenset({22}),
        deadline_seconds=120,
        min_free_bytes=0,
        wait_seconds=spec["wait_seconds"],
    )
    try:
        result = push_release(settings)
        outcome = {"exit": 0, "release": result.release, "changed": result.changed, "seconds": result.seconds}
    except ProvisioningError as error:
        outcome = {"exit": error.exit_code, "error": str(error), "hint": error.hint}
    print(json.dumps(outcome), flush=True)

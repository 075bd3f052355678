"""Make the host's own key the only one that sshd presents. Running sessions stay."""

from __future__ import annotations

import glob
import os
import re
import subprocess

from provisioning.agent.files import write_text
from provisioning.agent.host_key.messages import Changed, SwitchHostKey
from provisioning.agent.host_key.paths import key_path
from provisioning.agent.protocol import Refused


def handle(request: SwitchHostKey) -> Changed:
    """Configure, verify and reload sshd. Idempotent. Raises Refused when sshd does not accept the key."""
    etc = os.path.join(request.root, "etc")
    key = key_path(request.root)
    own = os.path.join(etc, "ssh/sshd_config.d/10-onebox-host-key.conf")
    if not os.path.exists(key):
        raise Refused("the host's own key does not exist")
    changed = False
    if os.path.isdir(os.path.join(etc, "cloud")):
        cloud = os.path.join(etc, "cloud/cloud.cfg.d/99-onebox-host-key.cfg")
        changed |= _write(cloud, "ssh_deletekeys: false\nssh_genkeytypes: []\n")
    main = os.path.join(etc, "ssh/sshd_config")
    for path in [main, *glob.glob(os.path.join(etc, "ssh/sshd_config.d/*.conf"))]:
        if path != own and os.path.exists(path):
            with open(path) as file:
                text = file.read()
            changed |= _write(path, re.sub(r"(?im)^(\s*HostKey\s)", r"#\1", text))
    changed |= _write(own, f"HostKey {key}\n")
    _verify(key, own)
    # A reload keeps running sessions. Not only after a change: an earlier attempt may have ended before it.
    for unit in ("ssh", "sshd"):
        if subprocess.run(["systemctl", "reload", unit], capture_output=True, check=False).returncode == 0:
            return Changed(changed)
    raise Refused("neither ssh nor sshd could be reloaded")


def _verify(key: str, own: str) -> None:
    """Raise Refused, and remove the configuration, unless sshd presents this key and no other."""
    check = subprocess.run(
        ["sshd", "-T"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
        check=False,
    )
    shown = [
        line.split(None, 1)[1] for line in check.stdout.splitlines() if line.lower().startswith("hostkey ")
    ]
    if check.returncode != 0 or shown != [key]:
        os.unlink(own)
        raise Refused(f"sshd does not accept the key as its only one: {check.stderr.strip() or shown}")


def _write(path: str, text: str) -> bool:
    """Replace a file by this text, with the mode it has; return whether that changed it."""
    mode = 0o644
    if os.path.exists(path):
        with open(path) as file:
            if file.read() == text:
                return False
        mode = os.stat(path).st_mode & 0o777
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_text(path, text, mode, durable=True)
    return True

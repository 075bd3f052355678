"""As root: make the host's own key the only one that sshd shows, and keep cloud-init from bringing others.

Argument: the directory that /etc lies in ("/" on a host). Prints "changed" or "unchanged". Running sessions stay.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys

root = sys.argv[1]
etc = os.path.join(root, "etc")
key = os.path.join(etc, "ssh/onebox/host_ed25519")
own = os.path.join(etc, "ssh/sshd_config.d/10-onebox-host-key.conf")
cloud = os.path.join(etc, "cloud/cloud.cfg.d/99-onebox-host-key.cfg")


def write(path: str, text: str) -> bool:
    if os.path.exists(path) and open(path).read() == text:
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.chmod(f"{path}.new", os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644)
    os.replace(f"{path}.new", path)
    return True


if not os.path.exists(key):
    sys.exit("the host's own key is not there")
changed = False
if os.path.isdir(os.path.dirname(os.path.dirname(cloud))):
    changed |= write(cloud, "ssh_deletekeys: false\nssh_genkeytypes: []\n")
for path in [os.path.join(etc, "ssh/sshd_config"), *glob.glob(os.path.join(etc, "ssh/sshd_config.d/*.conf"))]:
    if path != own and os.path.exists(path):
        text = open(path).read()
        changed |= write(path, re.sub(r"(?im)^(\s*HostKey\s)", r"#\1", text))
changed |= write(own, f"HostKey {key}\n")
check = subprocess.run(
    ["sshd", "-T"],
    capture_output=True,
    text=True,
    env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
)
shown = [line.split(None, 1)[1] for line in check.stdout.splitlines() if line.lower().startswith("hostkey ")]
if check.returncode != 0 or shown != [key]:
    os.unlink(own)
    sys.exit(f"sshd does not accept the key as its only one: {check.stderr.strip() or shown}")
# A reload lets running sessions go on. Always done: an earlier run may have ended just before it.
for unit in ("ssh", "sshd"):
    if subprocess.run(["systemctl", "reload", unit], capture_output=True).returncode == 0:
        break
else:
    sys.exit("neither ssh nor sshd could be reloaded")
print("changed" if changed else "unchanged")

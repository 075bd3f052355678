"""As root: make the host's own ed25519 key where there is none, and print its public half.

Argument: the directory that /etc lies in ("/" on a host).
"""

from __future__ import annotations

import os
import subprocess
import sys

directory = os.path.join(sys.argv[1], "etc/ssh/onebox")
key = os.path.join(directory, "host_ed25519")


def public_half(path: str) -> str:
    done = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", path], capture_output=True, text=True)
    return " ".join(done.stdout.split()[:2]) if done.returncode == 0 else ""


os.umask(0o077)
os.makedirs(directory, mode=0o700, exist_ok=True)
os.chmod(directory, 0o700)
if not public_half(key):
    # A name of its own until the key is whole: a crash leaves no half key under the real name.
    fresh = f"{key}.{os.getpid()}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "onebox", "-f", fresh], check=True)
    os.unlink(f"{fresh}.pub")
    os.sync()
    os.replace(fresh, key)
print(public_half(key))

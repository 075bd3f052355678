"""As root: remove the host key that came with the user-data, and scrub it from cloud-init's caches.

Arguments: the directory that /etc lies in ("/" on a host), and how many seconds to wait for the first boot
to end: cloud-init writes its caches until then. Prints the files that it changed.
"""

from __future__ import annotations

import glob
import os
import re
import sys
import time

root, ends = sys.argv[1], time.monotonic() + float(sys.argv[2])
boot = os.path.join(root, "run/cloud-init")
while os.path.isdir(boot) and not any(
    os.path.exists(os.path.join(boot, name)) for name in ("result.json", "disabled")
):
    if time.monotonic() >= ends:
        sys.exit("cloud-init is still running")
    time.sleep(0.5)
# "\\n" as well as a newline: the same text stands in JSON and in pickles too.
block = re.compile(
    rb"(-----BEGIN (?:OPENSSH |EC |RSA )?PRIVATE KEY-----)(.*?)(-----END (?:OPENSSH |EC |RSA )?PRIVATE KEY-----)",
    re.S,
)


def blank(match: re.Match[bytes]) -> bytes:
    """The same length, so that a pickle stays readable; line breaks stay, so that YAML does."""
    body = re.sub(rb"\\n|\s|[^\s\\]", lambda m: m[0] if m[0].isspace() or m[0] == b"\\n" else b"x", match[2])
    return match[1].replace(b"PRIVATE", b"REMOVED") + body + match[3].replace(b"PRIVATE", b"REMOVED")


for path in glob.glob(os.path.join(root, "etc/ssh/ssh_host_*")):
    os.unlink(path)
    print(path)
for top in ("var/lib/cloud", "run/cloud-init"):
    for directory, _, names in os.walk(os.path.join(root, top)):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 1 << 24:
                continue
            content = open(path, "rb").read()
            scrubbed = block.sub(blank, content)
            if scrubbed != content:
                try:
                    # In place: the same length, and the file may be a mount that cannot be renamed over.
                    with open(path, "r+b") as out:
                        out.write(scrubbed)
                    print(path)
                except OSError as error:
                    print(f"{path}: {error.strerror}", file=sys.stderr)

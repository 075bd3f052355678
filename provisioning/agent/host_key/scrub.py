"""Remove the host key that came with the user-data, and scrub it from cloud-init's caches."""

from __future__ import annotations

import glob
import os
import re
import sys
import time
from collections.abc import Iterator
from re import Match

from provisioning.agent.host_key.messages import Scrubbed, ScrubInjectedHostKey
from provisioning.agent.protocol import Refused

LARGEST_FILE = 1 << 24
# "\\n" as well as a newline: JSON and pickles contain the same text.
_PRIVATE_KEY = re.compile(
    rb"(-----BEGIN (?:OPENSSH |EC |RSA )?PRIVATE KEY-----)(.*?)(-----END (?:OPENSSH |EC |RSA )?PRIVATE KEY-----)",
    re.S,
)


def handle(request: ScrubInjectedHostKey) -> Scrubbed:
    """Return the paths that were removed or changed. Raises Refused when the first boot does not end in time."""
    _wait_for_first_boot(os.path.join(request.root, "run/cloud-init"), request.seconds)
    paths: list[str] = []
    for path in glob.glob(os.path.join(request.root, "etc/ssh/ssh_host_*")):
        os.unlink(path)
        paths.append(path)
    for path in _caches(request.root):
        with open(path, "rb") as file:
            content = file.read()
        scrubbed = _PRIVATE_KEY.sub(_blank, content)
        if scrubbed != content:
            try:
                # In place: the length is the same, and a file that is a mount cannot be renamed over.
                with open(path, "r+b") as out:
                    out.write(scrubbed)
                paths.append(path)
            except OSError as error:
                print(f"{path}: {error.strerror}", file=sys.stderr)
    return Scrubbed(tuple(paths))


def _wait_for_first_boot(run_dir: str, seconds: float) -> None:
    """Wait until cloud-init has written its caches for the last time."""
    ends = time.monotonic() + seconds
    while os.path.isdir(run_dir) and not any(
        os.path.exists(os.path.join(run_dir, name)) for name in ("result.json", "disabled")
    ):
        if time.monotonic() >= ends:
            raise Refused("cloud-init is still running")
        time.sleep(0.5)


def _caches(root: str) -> Iterator[str]:
    for top in ("var/lib/cloud", "run/cloud-init"):
        for directory, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                path = os.path.join(directory, name)
                if (
                    os.path.isfile(path)
                    and not os.path.islink(path)
                    and os.path.getsize(path) <= LARGEST_FILE
                ):
                    yield path


def _blank(match: Match[bytes]) -> bytes:
    """Return a key of the same length, so that a pickle stays readable, with its line breaks, so that YAML does."""
    body = re.sub(rb"\\n|\s|[^\s\\]", lambda m: m[0] if m[0].isspace() or m[0] == b"\\n" else b"x", match[2])
    return match[1].replace(b"PRIVATE", b"REMOVED") + body + match[3].replace(b"PRIVATE", b"REMOVED")

"""A request in a Python of its own, started as a connection starts it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from provisioning.agent.codec import decode
from provisioning.agent.protocol import Answer, Request, answer_type, start_text
from provisioning.ssh.archive import agent_argv, pack, sources


def start_request(
    request: Request[Any], replaced: Mapping[str, str] | None = None, **how: Any
) -> subprocess.Popen[str]:
    """Start a request; `replaced` is text -> text in the agent's sources."""
    files = sources()
    for old, new in (replaced or {}).items():
        assert any(old in text for text in files.values())
        files = {path: text.replace(old, new) for path, text in files.items()}
    archive, content = pack(files), start_text(request)
    process = subprocess.Popen(
        [sys.executable, *agent_argv(len(archive), len(content))[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **how,
    )
    assert isinstance(process.stdin, io.TextIOWrapper)
    process.stdin.buffer.write(archive + content)
    process.stdin.flush()
    return process


def call(request: Request[Answer], **how: Any) -> Answer:
    """Return the answer to a request."""
    process = start_request(request, **how)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0, stdout
    return decode(answer_type(request), stdout)

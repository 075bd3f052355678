"""The agent as one archive, and the command that runs it on the host."""

from __future__ import annotations

import bz2
import io
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from provisioning import agent
from provisioning.agent.protocol import Exit

# The archive is kept in memory that only this process, and those it forks, can open: no path of it is known to others.
_BOOT = """\
import bz2, os, sys
def read(size):
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            os._exit({incomplete})
        data += chunk
    return data
archive = os.memfd_create("onebox-agent")
with open(archive, "wb", closefd=False) as file:
    file.write(bz2.decompress(read(int(sys.argv[1]))))
sys.path.insert(0, "/proc/self/fd/%d" % archive)
from {package}.main import main
main(archive, read(int(sys.argv[2])))
"""


@cache
def archive() -> bytes:
    """Return the agent's package, packed; the same sources give the same bytes."""
    return pack(sources())


def sources() -> dict[str, str]:
    """Return path in the archive -> source, with empty parent packages."""
    home = Path(agent.__file__).parent
    parents = Path(*agent.__name__.split("."))
    found = {(above / "__init__.py").as_posix(): "" for above in parents.parents if above.name}
    for path in sorted(home.rglob("*.py")):
        found[(parents / path.relative_to(home)).as_posix()] = path.read_text(encoding="utf-8")
    return found


def pack(files: Mapping[str, str]) -> bytes:
    """Return a zip file of these sources, compressed as a whole by bz2.

    That is a fifth smaller than what the connection's own compression makes of it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for path, text in files.items():
            packed.writestr(zipfile.ZipInfo(path), text)
    return bz2.compress(buffer.getvalue())


def agent_argv(archive_bytes: int, request_bytes: int = 0) -> list[str]:
    """Return the argv that reads an archive, then a request, from its input; without a request it serves many.

    Python runs with its standard library alone: what else is installed there takes time to find.
    """
    boot = _BOOT.format(package=agent.__name__, incomplete=int(Exit.INCOMPLETE))
    return ["python3", "-IS", "-c", boot, str(archive_bytes), str(request_bytes)]

"""Pure: which files of its context can change the image that a Dockerfile makes."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from collections.abc import Iterable, Iterator

_COPIES = re.compile(r"^\s*(?:ONBUILD\s+)?(COPY|ADD)\s+(.*)$", re.IGNORECASE)
_MOUNT = re.compile(r"--mount=(\S+)")
_GLOB = re.compile(r"[*?\[\\]")
_FLAGS = re.compile(r"(--\S+\s+)+")
WHOLE = "."
UNKNOWN = "$"
"""A source that only the build knows: it may be any file."""


def matters(path: str, sources: Iterable[str], mounted: Iterable[str]) -> bool:
    """Whether a file of the context can change the image.

    `sources` are those of `sources_of`, `mounted` the directories of the context that the service mounts over what
    the image has. A file in one of these does not matter, unless a source names it, or a directory inside of the
    mounted one that holds it. All paths are relative to the context.
    """
    own = [directory for directory in mounted if _within(path, directory)]
    if not own:
        return True
    return any(
        _copied(path, source) and not any(_within(directory, source) for directory in own)
        for source in sources
    )


def sources_of(text: str) -> tuple[str, ...]:
    """What a Dockerfile takes from its context: paths and globs, WHOLE or UNKNOWN; empty where it takes nothing."""
    found: list[str] = []
    for line in _instructions(text):
        match = _COPIES.match(line)
        if match:
            found += _arguments(match[2])
        elif any(map(_binds, _MOUNT.findall(line))):
            found.append(WHOLE)
    return tuple(dict.fromkeys(found))


def _binds(mount: str) -> bool:
    """Whether a mount of one RUN shows it something of the context."""
    options = dict(option.partition("=")[::2] for option in mount.split(","))
    return options.get("type", "bind") == "bind" and "from" not in options


def _arguments(text: str) -> list[str]:
    flags = _FLAGS.match(text)
    options, rest = (flags[0], text[flags.end() :]) if flags else ("", text)
    if "--from=" in options:
        return []
    try:
        words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
    except ValueError:
        return [UNKNOWN]
    return [_clean(word) for word in words[:-1] if not word.startswith("<<")]


def _clean(source: str) -> str:
    # What a variable stands for is known to the build only.
    if "$" in source:
        return UNKNOWN
    parts = [part for part in source.split("/") if part not in ("", ".")]
    return "/".join(parts) or WHOLE


def _copied(path: str, source: str) -> bool:
    if source == UNKNOWN:
        return True
    if not _GLOB.search(source):
        return _within(path, source)
    wanted, given = source.split("/"), path.split("/")
    return len(given) >= len(wanted) and all(map(fnmatch.fnmatchcase, given, wanted))


def _within(path: str, directory: str) -> bool:
    return directory == WHOLE or path == directory or path.startswith(f"{directory}/")


def _instructions(text: str) -> Iterator[str]:
    """Logical lines: continued ones joined, comments left out."""
    joined = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if line.rstrip().endswith("\\"):
            joined += line.rstrip()[:-1] + " "
            continue
        yield joined + line
        joined = ""
    if joined:
        yield joined

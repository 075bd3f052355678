"""Make or repair a release's directory and its data directories. Input: {"root", "note", "manifest", "archive"}.

Content comes from the archive (members named by SHA-256) or from what other releases have; each file is
checked before it takes its place, and a directory has its final name only when it is whole. Status 28:
the disk is full.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from provisioning.agent.shared_values import given
from provisioning.agent.store.journal import Journal

Entry = dict[str, Any]
Sources = dict[str, list[str]]
request = json.load(sys.stdin)
root, manifest, archive = request["root"], given(request["manifest"]), request["archive"]
releases, incoming = os.path.join(root, "releases"), os.path.join(root, "incoming")
blobs = os.path.join(incoming, "blobs-" + manifest["release"])


def sha256(path: str) -> str | None:
    digest = hashlib.sha256()
    try:
        if os.path.islink(path):
            return None
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def copied(source: str, target: str, entry: Entry) -> bool:
    """Whether `source` was there and `target` now is what the entry says, in content and mode."""
    digest = hashlib.sha256()
    try:
        given = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        while chunk := os.read(given, 1 << 20):
            digest.update(chunk)
            while chunk:
                chunk = chunk[os.write(out, chunk) :]
        os.fchmod(out, entry["mode"])
    finally:
        os.close(given)
        os.close(out)
    return bool(digest.hexdigest() == entry["sha256"])


def unpack() -> Sources:
    """The content that came in the archive, by its hash."""
    found: Sources = {}
    wanted = {entry["sha256"] for entry in manifest["files"]}
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.isfile() and member.name in wanted:
                content = packed.extractfile(member)
                assert content is not None
                found[member.name] = [os.path.join(blobs, member.name)]
                with open(found[member.name][0], "wb") as out:
                    shutil.copyfileobj(content, out)
    return found


def add(sources: Sources, directory: str, entries: list[Entry]) -> None:
    for entry in entries:
        sources.setdefault(entry["sha256"], []).append(os.path.join(directory, entry["path"]))


def places() -> Sources:
    """What came, and then what the releases on this host have."""
    found = unpack() if archive else {}
    for name in sorted(os.listdir(releases)):
        try:
            with open(os.path.join(releases, name, "manifest.json"), encoding="utf-8") as file:
                add(found, os.path.join(releases, name), json.load(file)["files"])
        except (OSError, ValueError, KeyError):
            continue
    return found


def fill(directory: str, entries: list[Entry], sources: Sources, own: Iterable[str] = ()) -> None:
    """Bring a directory to exactly these entries; what is right already is not touched."""
    os.makedirs(directory, exist_ok=True)
    wanted = {entry["path"] for entry in entries}
    there: set[str] = set()
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), directory)
            there.add(path)
            if path not in wanted and path not in own:
                os.unlink(os.path.join(directory, path))
    # Containers read it as another user, whatever the umask is.
    for folder in {above for path in wanted for above in parents(path)}:
        os.makedirs(os.path.join(directory, folder), exist_ok=True)
        os.chmod(os.path.join(directory, folder), 0o755)
    os.chmod(directory, 0o755)
    for entry in entries:
        path = os.path.join(directory, entry["path"])
        if entry["path"] not in there or sha256(path) != entry["sha256"]:
            places = sources.get(entry["sha256"], ())
            if not any(copied(place, path + ".new", entry) for place in places):
                sys.exit("no content for " + entry["path"])
            os.replace(path + ".new", path)
        elif os.stat(path).st_mode & 0o777 != entry["mode"]:
            os.chmod(path, entry["mode"])


def parents(path: str) -> Iterator[str]:
    """The directories that a path leads through."""
    while path := os.path.dirname(path):
        yield path


def made(final: str, entries: list[Entry], sources: Sources, extra: Any = None) -> str:
    """Fill `final` in place when it is there, else beside it; where that is."""
    there = os.path.isdir(final) and (extra is None or os.path.exists(os.path.join(final, "manifest.json")))
    directory = final if there else final + ".partial"
    if not there and os.path.isdir(final):
        shutil.rmtree(final)
    fill(directory, entries, sources, {"manifest.json"} if extra else frozenset())
    if extra:
        with open(os.path.join(directory, "manifest.json.new"), "w", encoding="utf-8") as out:
            out.write(json.dumps(extra))
        os.chmod(out.name, 0o600)
        os.replace(out.name, os.path.join(directory, "manifest.json"))
    return directory


journal = Journal(request["note"])
journal.begin()
try:
    os.makedirs(releases, exist_ok=True)
    os.makedirs(blobs, exist_ok=True)
    sources = places()
    final = os.path.join(releases, manifest["release"])
    filled = {final: made(final, manifest["files"], sources, manifest)}
    # What the release has, its data can be made of.
    add(sources, filled[final], manifest["files"])
    for entry in manifest["data"].values():
        final = os.path.join(root, "data", entry["digest"])
        filled[final] = made(final, entry["files"], sources)
    if any(directory != final for final, directory in filled.items()):
        # All of it is on the disk before any of it has its name.
        os.sync()
    for final, directory in filled.items():
        if directory != final:
            os.replace(directory, final)
except OSError as error:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        sys.exit(28)
    raise
finally:
    # The lock is held: nobody else has anything in there.
    shutil.rmtree(incoming, ignore_errors=True)
journal.end()
print(json.dumps({}))

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
from collections.abc import Iterable
from typing import Any

from provisioning.remote.journal import Journal

Entry = dict[str, Any]
request = json.load(sys.stdin)
root, manifest, archive = request["root"], request["manifest"], request["archive"]
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


def copied(source: str, target: str, wanted: str) -> bool:
    """Whether `source` was there and `target` now holds its content, which is the wanted one."""
    digest = hashlib.sha256()
    try:
        given = None if os.path.islink(source) else open(source, "rb")
    except OSError:
        given = None
    if given is None:
        return False
    with given, open(target, "wb") as out:
        while chunk := given.read(1 << 20):
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest() == wanted


def unpack() -> None:
    wanted = {entry["sha256"] for entry in manifest["files"]}
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.isfile() and member.name in wanted:
                content = packed.extractfile(member)
                assert content is not None
                with open(os.path.join(blobs, member.name), "wb") as out:
                    shutil.copyfileobj(content, out)


def places() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(releases)):
        try:
            with open(os.path.join(releases, name, "manifest.json"), encoding="utf-8") as file:
                entries = json.load(file)["files"]
        except (OSError, ValueError, KeyError):
            continue
        for entry in entries:
            found.setdefault(entry["sha256"], []).append(os.path.join(releases, name, entry["path"]))
    return found


def fill(
    directory: str, entries: list[Entry], sources: dict[str, list[str]], own: Iterable[str] = ()
) -> None:
    """Bring a directory to exactly these entries; what is right already is not touched."""
    os.makedirs(directory, exist_ok=True)
    wanted = {entry["path"] for entry in entries}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), directory)
            if path not in wanted and path not in own:
                os.unlink(os.path.join(directory, path))
    # Containers read it as another user, whatever the umask is.
    for folder in {os.path.dirname(path) for path in wanted}:
        while folder:
            os.makedirs(os.path.join(directory, folder), exist_ok=True)
            os.chmod(os.path.join(directory, folder), 0o755)
            folder = os.path.dirname(folder)
    os.chmod(directory, 0o755)
    for entry in entries:
        path = os.path.join(directory, entry["path"])
        if sha256(path) != entry["sha256"]:
            places = (os.path.join(blobs, entry["sha256"]), *sources.get(entry["sha256"], ()))
            if not any(copied(place, path + ".new", entry["sha256"]) for place in places):
                sys.exit("no content for " + entry["path"])
            os.chmod(path + ".new", entry["mode"])
            os.replace(path + ".new", path)
        elif os.stat(path).st_mode & 0o777 != entry["mode"]:
            os.chmod(path, entry["mode"])


def settle(final: str, entries: list[Entry], sources: dict[str, list[str]], extra: Any = None) -> None:
    """Fill `final` in place when it is there, else beside it, and rename."""
    there = os.path.isdir(final) and (extra is None or os.path.exists(os.path.join(final, "manifest.json")))
    directory = final if there else final + ".partial"
    if not there and os.path.isdir(final):
        shutil.rmtree(final)
    fill(directory, entries, sources, {"manifest.json"} if extra else frozenset())
    if extra:
        with open(os.path.join(directory, "manifest.json.new"), "w", encoding="utf-8") as out:
            json.dump(extra, out)
        os.chmod(out.name, 0o600)
        os.replace(out.name, os.path.join(directory, "manifest.json"))
    if not there:
        os.sync()
        os.replace(directory, final)


journal = Journal(request["note"])
journal.begin()
try:
    os.makedirs(releases, exist_ok=True)
    os.makedirs(blobs, exist_ok=True)
    if archive:
        unpack()
    settle(os.path.join(releases, manifest["release"]), manifest["files"], places(), manifest)
    sources = places()
    for entry in manifest["data"].values():
        settle(os.path.join(root, "data", entry["digest"]), entry["files"], sources)
except OSError as error:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        sys.exit(28)
    raise
finally:
    # The lock is held: nobody else has anything in there.
    shutil.rmtree(incoming, ignore_errors=True)
journal.end()
print(json.dumps({}))

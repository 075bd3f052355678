"""Create or repair the directories of a release and of its data."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Optional

from provisioning.agent.codec import Malformed
from provisioning.agent.files import read_json, sha256_of, write_text
from provisioning.agent.protocol import Exit, Refused
from provisioning.agent.store.journal import Journal
from provisioning.agent.store.manifest import FileEntry, Manifest, manifest_in
from provisioning.agent.store.messages import Done, Publish


def handle(request: Publish) -> Done:
    """Publish the release. Raises Refused, with DISK_FULL when the disk is full."""
    journal = Journal(request.root, request.journal)
    journal.begin()
    incoming = os.path.join(request.root, "incoming")
    try:
        _publish(request, manifest_in(request.manifest), incoming)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused("the disk is full", Exit.DISK_FULL) from error
        raise
    finally:
        # The lock is held: nothing in there belongs to another push.
        shutil.rmtree(incoming, ignore_errors=True)
    journal.end()
    return Done()


def _publish(request: Publish, manifest: Manifest, incoming: str) -> None:
    releases = os.path.join(request.root, "releases")
    blobs = os.path.join(incoming, "blobs-" + manifest.release)
    os.makedirs(releases, exist_ok=True)
    os.makedirs(blobs, exist_ok=True)
    sources = Sources()
    if request.archive:
        sources.unpack(request.archive, blobs, {entry.sha256 for entry in manifest.files})
    sources.add_releases(releases)
    final = os.path.join(releases, manifest.release)
    directories = {final: _made(final, manifest.files, sources, request.manifest)}
    # The data can be made of what the release has.
    sources.add(directories[final], manifest.files)
    for data in manifest.data.values():
        final = os.path.join(request.root, "data", data.digest)
        directories[final] = _made(final, data.files, sources)
    if any(directory != final for final, directory in directories.items()):
        # All of it is on disk before any of it has its name.
        os.sync()
    for final, directory in directories.items():
        if directory != final:
            os.replace(directory, final)


class Sources:
    """Paths on this host that have, or may have, a content, by its SHA-256."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = {}

    def add(self, directory: str, entries: Iterable[FileEntry]) -> None:
        """Add the files of a directory."""
        for entry in entries:
            self._paths.setdefault(entry.sha256, []).append(os.path.join(directory, entry.path))

    def add_releases(self, releases: str) -> None:
        """Add the files of all releases."""
        for name in sorted(os.listdir(releases)):
            directory = os.path.join(releases, name)
            try:
                self.add(directory, manifest_in(read_json(os.path.join(directory, "manifest.json"))).files)
            except Malformed:
                continue

    def unpack(self, archive: str, blobs: str, wanted: Collection[str]) -> None:
        """Add the members of an archive that are named by a wanted hash; others are not unpacked."""
        with tarfile.open(archive) as packed:
            for member in packed:
                content = packed.extractfile(member) if member.isfile() and member.name in wanted else None
                if content is None:
                    continue
                path = os.path.join(blobs, member.name)
                with open(path, "wb") as out:
                    shutil.copyfileobj(content, out)
                self._paths[member.name] = [path]

    def copy(self, entry: FileEntry, target: str) -> None:
        """Copy the content of an entry to `target`, with its mode. Raises Refused when no source has it."""
        if not any(_copied(path, target, entry) for path in self._paths.get(entry.sha256, ())):
            raise Refused("no content for " + entry.path)


def _copied(source: str, target: str, entry: FileEntry) -> bool:
    """Return whether `source` could be read and `target` now has the entry's content and mode."""
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
        os.fchmod(out, entry.mode)
    finally:
        os.close(given)
        os.close(out)
    return digest.hexdigest() == entry.sha256


def _made(
    final: str, entries: tuple[FileEntry, ...], sources: Sources, manifest: Optional[dict[str, Any]] = None
) -> str:
    """Fill `final` in place when it exists, else a directory beside it; return which."""
    directory = final if os.path.isdir(final) else final + ".partial"
    _fill(directory, entries, sources, {"manifest.json"} if manifest else frozenset())
    if manifest:
        write_text(os.path.join(directory, "manifest.json"), json.dumps(manifest))
    return directory


def _fill(directory: str, entries: tuple[FileEntry, ...], sources: Sources, own: Collection[str]) -> None:
    """Make a directory contain exactly these entries; files that are right are not touched."""
    os.makedirs(directory, exist_ok=True)
    wanted = {entry.path for entry in entries}
    found = set()
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), directory)
            found.add(path)
            if path not in wanted and path not in own:
                os.unlink(os.path.join(directory, path))
    # Containers read it as another user, whatever the umask is.
    for folder in {above for path in wanted for above in _parents(path)}:
        os.makedirs(os.path.join(directory, folder), exist_ok=True)
        os.chmod(os.path.join(directory, folder), 0o755)
    os.chmod(directory, 0o755)
    for entry in entries:
        path = os.path.join(directory, entry.path)
        if entry.path not in found or sha256_of(path) != entry.sha256:
            sources.copy(entry, path + ".new")
            os.replace(path + ".new", path)
        elif os.stat(path).st_mode & 0o777 != entry.mode:
            os.chmod(path, entry.mode)


def _parents(path: str) -> Iterator[str]:
    """Yield the directories that a relative path leads through."""
    while path := os.path.dirname(path):
        yield path

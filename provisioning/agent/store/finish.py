"""End a push or rollback: point `current` to a release, journal the result, prune.

Pruning keeps the newest releases with their images, so that each can serve again in seconds, and always the
current one and the one before it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess

from provisioning.agent.codec import Malformed, is_newer
from provisioning.agent.docker_engine import connect_to_docker
from provisioning.agent.files import current_release, read_json, write_text
from provisioning.agent.protocol import Refused
from provisioning.agent.store.journal import append, entries_in, hold_steps, journal_path, read_lines
from provisioning.agent.store.manifest import SCHEMA, Manifest, manifest_in
from provisioning.agent.store.messages import Finish, Removed

KEPT_LINES = 4000


def handle(request: Finish) -> Removed:
    """Return what was pruned."""
    hold_steps(request.root)
    previous = current_release(request.root)
    if request.switch_to and previous != request.switch_to:
        _switch(request.root, request.switch_to)
    append(request.root, request.entry)
    if not request.keep:
        return Removed(())
    known, newer = _manifests(os.path.join(request.root, "releases"))
    kept = (
        _newest(request, known) | {current_release(request.root), request.entry.previous or previous} | newer
    )
    removed = _prune_releases(request.root, kept)
    _shorten_journal(request.root)
    if not newer:
        # What a release of a newer schema needs is unknown: while there is one, nothing that it may need is pruned.
        removed += _prune_content(request.root, known, kept) + _prune_images(request.project, known, kept)
    return Removed(tuple(removed))


def _switch(root: str, release: str) -> None:
    link = os.path.join(root, "current")
    os.utime(os.path.join(root, "releases", release))
    if os.path.lexists(link + ".new"):
        os.unlink(link + ".new")
    os.symlink(os.path.join("releases", release), link + ".new")
    os.replace(link + ".new", link)


def _manifests(releases: str) -> tuple[dict[str, Manifest], set[str]]:
    """Return the manifests of the releases, and the names of releases that a newer version pushed."""
    found: dict[str, Manifest] = {}
    newer: set[str] = set()
    for name in os.listdir(releases):
        value = read_json(os.path.join(releases, name, "manifest.json"))
        if is_newer(value, SCHEMA):
            newer.add(name)
            continue
        with contextlib.suppress(Malformed):
            found[name] = manifest_in(value)
    return found, newer


def _newest(request: Finish, known: dict[str, Manifest]) -> set[str]:
    """Return the releases that served last, by the journal: the host's clock may have been set back."""
    served = [entry for entry in entries_in(read_lines(request.root)) if entry.result == "ok"]
    order = {entry.release: number for number, entry in enumerate(served) if entry.release}

    def age(name: str) -> tuple[int, float]:
        return order.get(name, -1), os.stat(os.path.join(request.root, "releases", name)).st_mtime

    return set(sorted(known, key=age, reverse=True)[: request.keep])


def _prune_releases(root: str, kept: set[str]) -> list[str]:
    return [f"release {name[:12]}" for name in _prune(os.path.join(root, "releases"), kept)]


def _prune_content(root: str, known: dict[str, Manifest], kept: set[str]) -> list[str]:
    """Prune the data and secrets that no kept release has."""
    manifests = [manifest for name, manifest in known.items() if name in kept]
    data = {data.digest for manifest in manifests for data in manifest.data.values()}
    secrets = {secret.digest for manifest in manifests for secret in manifest.secrets.values()}
    return [
        *(f"data {name[:12]}" for name in _prune(os.path.join(root, "data"), data)),
        *(f"secrets {name[:12]}" for name in _prune(os.path.join(root, "secrets"), secrets)),
    ]


def _prune(folder: str, kept: set[str]) -> list[str]:
    removed = [name for name in os.listdir(folder) if name not in kept] if os.path.isdir(folder) else []
    for name in removed:
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    return removed


def _shorten_journal(root: str) -> None:
    lines = read_lines(root)
    if len(lines) > 2 * KEPT_LINES:
        write_text(journal_path(root), "\n".join(lines[-KEPT_LINES:]) + "\n")


def _prune_images(project: str, known: dict[str, Manifest], kept: set[str]) -> list[str]:
    built = {part.image for manifest in known.values() for part in manifest.services.values() if part.build}
    used = {part.image for name in kept & set(known) for part in known[name].services.values()}
    if not built - used:
        return []
    repositories = {image.rpartition(":")[0] for image in built}
    names: list[str] = []
    # The release serves and is recorded; an image that stays too long is pruned by the next push.
    with contextlib.suppress(Refused, OSError):
        names = [name for name, *_ in connect_to_docker(project, images=True).images()]
    removed: list[str] = []
    for image in names:
        repository, _, tag = image.rpartition(":")
        if repository in repositories and image not in used and re.fullmatch("[0-9a-f]{64}", tag):
            # Docker refuses it for an image that a container still uses.
            done = subprocess.run(["docker", "image", "rm", image], capture_output=True, check=False)
            if done.returncode == 0:
                removed.append("image " + image[: len(repository) + 13])
    return removed

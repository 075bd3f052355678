"""Read the observed state of the host, seen from a manifest."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, Optional

from provisioning.agent.codec import Malformed, is_newer
from provisioning.agent.docker_engine import connect_to_docker, has_command
from provisioning.agent.files import current_release, link_target, read_json, sha256_of
from provisioning.agent.lock.holder_file import running_holder
from provisioning.agent.observe.messages import ContainerFacts, Facts, LiveDataFacts, ReadFacts
from provisioning.agent.observe.runtime_split import SplitReader
from provisioning.agent.store.journal import entries_in, read_lines
from provisioning.agent.store.journal_entry import JournalEntry
from provisioning.agent.store.leftovers import leftovers
from provisioning.agent.store.manifest import SCHEMA, DataDirectory, FileEntry, Manifest, manifest_in

OWN = {"manifest.json"}
MEASURED = 5


def handle(request: ReadFacts) -> Facts:
    """Return the facts."""
    docker = connect_to_docker(request.project, images=not request.only_containers)
    inspected = docker.containers()
    if request.only_containers:
        return Facts(tuple(_containers(inspected)))
    # Answered while the files are read.
    split = SplitReader(inspected)
    store = _Store(request.root)
    wanted = store.current_manifest if request.manifest is None else manifest_in(request.manifest)
    images = docker.images()
    journal = read_lines(request.root)
    disk = os.statvfs(request.root if os.path.isdir(request.root) else "/")
    holder = running_holder(request.root)
    return Facts(
        containers=tuple(_containers(inspected)),
        current=store.current or None,
        current_manifest=store.raw.get(store.current),
        leftovers=tuple(leftovers(request.root)),
        unfinished=_unfinished(journal),
        images={name: digest for name, digest, _ in images},
        image_bytes={name: size for name, _, size in images},
        builds=store.builds({name for name, *_ in images}),
        holder=str(holder) if holder else "",
        journal=_last_success(journal),
        measured=_measured(journal),
        split_in_force=split.read(),
        can_carry_out=has_command(),
        free_bytes=disk.f_bavail * disk.f_frsize,
        **(store.compare(wanted) if wanted else {}),
    )


class _Store:
    """The release store below a root. `raw` are the manifests as they are stored."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._releases = os.path.join(root, "releases")
        self.current = current_release(root)
        self.raw: dict[str, dict[str, Any]] = {}
        self._known: dict[str, Manifest] = {}
        for name in os.listdir(self._releases) if os.path.isdir(self._releases) else []:
            if name.endswith(".partial"):
                continue
            value = read_json(os.path.join(self._releases, name, "manifest.json"))
            try:
                self._known[name] = manifest_in(value)
            except Malformed:
                # The client refuses a newer one; a damaged one is as good as none.
                if not is_newer(value, SCHEMA):
                    continue
            self.raw[name] = value

    @property
    def current_manifest(self) -> Optional[Manifest]:
        """The manifest of the release that `current` points to."""
        return self._known.get(self.current)

    def compare(self, wanted: Manifest) -> dict[str, Any]:
        """Return the fields of Facts that compare the host with the wanted manifest."""
        problems = compare(os.path.join(self._releases, wanted.release), wanted.files, OWN)
        live = {
            variable: self._live_data(variable, data) for variable, data in wanted.data.items() if data.live
        }
        secrets = {
            secret.digest: self._secret_problem(name, secret.digest)
            for name, secret in wanted.secrets.items()
        }
        return {
            "present": wanted.release in self._known,
            "problems": tuple(problems),
            "data_problems": {
                data.digest: tuple(compare(os.path.join(self._root, "data", data.digest), data.files))
                for data in wanted.data.values()
            },
            "secret_problems": {digest: problem for digest, problem in secrets.items() if problem},
            "live": {variable: found for variable, found in live.items() if found},
            "needed": self._needed(wanted, {problem.split(" ", 1)[1] for problem in problems}),
        }

    def builds(self, images: Collection[str]) -> dict[str, dict[str, str]]:
        """Return service -> build digest -> image, the newest release last, of images that exist."""
        found: dict[str, dict[str, str]] = {}
        by_age = sorted(self._known, key=lambda name: os.stat(os.path.join(self._releases, name)).st_mtime)
        for name in by_age:
            for service, part in self._known[name].services.items():
                if part.build:
                    builds = found.setdefault(service, {})
                    builds[part.build] = part.image
        return {
            service: {build: image for build, image in builds.items() if image in images}
            for service, builds in found.items()
        }

    def _needed(self, wanted: Manifest, wrong: Collection[str]) -> tuple[str, ...]:
        """Return the SHA-256 of wrong files whose content no release has."""
        paths: dict[str, list[str]] = {}
        for name, manifest in self._known.items():
            for entry in manifest.files:
                paths.setdefault(entry.sha256, []).append(os.path.join(self._releases, name, entry.path))
        needed = {
            entry.sha256
            for entry in wanted.files
            if entry.path in wrong
            and not any(sha256_of(path) == entry.sha256 for path in paths.get(entry.sha256, []))
        }
        return tuple(sorted(needed))

    def _live_data(self, variable: str, wanted: DataDirectory) -> Optional[LiveDataFacts]:
        """Return the live data of a variable; None when there is none."""
        home = os.path.join(self._root, "live", variable)
        digest = os.path.basename(link_target(os.path.join(home, ".current")))
        if not digest:
            return None
        wrong: list[str] = []
        if digest == wanted.digest:
            wrong = compare(os.path.join(home, ".data", digest), wanted.files)
            for top in sorted({entry.path.split("/")[0] for entry in wanted.files}):
                if link_target(os.path.join(home, top)) != ".current/" + top:
                    wrong.append("changed " + top)
        try:
            with open(os.path.join(home, ".in-force"), encoding="utf-8", errors="replace") as file:
                confirmed = file.read()
        except OSError:
            confirmed = ""
        return LiveDataFacts(digest, confirmed, tuple(wrong))

    def _secret_problem(self, name: str, digest: str) -> str:
        """Return what is wrong with the file of a secret, without reading it; empty for nothing."""
        folder = os.path.join(self._root, "secrets", digest)
        index = read_json(os.path.join(folder, "index.json"))
        try:
            found = os.lstat(os.path.join(folder, name))
        except OSError:
            return "missing " + name
        if index != {"inode": found.st_ino, "changed": found.st_ctime_ns}:
            return "changed " + name
        return ""


def compare(directory: str, entries: tuple[FileEntry, ...], own: Collection[str] = ()) -> list[str]:
    """Return what differs between a directory and the entries that it should have."""
    wrong: list[str] = []
    wanted = {entry.path: entry for entry in entries}
    for path, entry in wanted.items():
        full = f"{directory}/{path}"
        try:
            mode = os.lstat(full).st_mode
        except OSError:
            wrong.append("missing " + path)
            continue
        if mode & 0o777 != entry.mode or sha256_of(full) != entry.sha256:
            wrong.append("changed " + path)
    for folder, _, names in os.walk(directory):
        inner = folder[len(directory) + 1 :]
        for name in names:
            path = f"{inner}/{name}" if inner else name
            if path not in wanted and path not in own:
                wrong.append("added " + path)
    return sorted(wrong)


def _containers(inspected: list[dict[str, Any]]) -> Iterator[ContainerFacts]:
    for item in inspected:
        labels, state = item["Config"].get("Labels") or {}, item["State"]
        if labels.get("com.docker.compose.oneoff") == "True":
            continue
        health = state.get("Health") or {}
        log = health.get("Log") or [{}]
        exited = "" if state["Status"] == "running" else f"status {state.get('ExitCode')}"
        if exited and state.get("Error"):
            # Docker could not start it, so it has no log that tells why.
            exited += ": " + state["Error"]
        yield ContainerFacts(
            id=item["Id"],
            service=labels.get("com.docker.compose.service", ""),
            digest=labels.get("io.onebox.service-digest", ""),
            image=item["Config"]["Image"],
            image_id=item["Image"],
            state=state["Status"],
            health=health.get("Status", "") if health.get("Status") != "none" else "",
            said=exited or str((log[-1] or {}).get("Output", "")).strip()[-300:],
        )


def _measured(journal: list[str]) -> dict[str, tuple[float, ...]]:
    took: dict[str, tuple[float, ...]] = {}
    # There may be thousands of lines: each reader parses those that it needs.
    for entry in entries_in(line for line in journal if '"took"' in line):
        for service, seconds in entry.took.items():
            took[service] = (*took.get(service, ()), seconds)[-MEASURED:]
    return took


def _last_success(journal: list[str]) -> Optional[JournalEntry]:
    return next((entry for entry in entries_in(reversed(journal)) if entry.result == "ok"), None)


def _unfinished(journal: list[str]) -> Optional[JournalEntry]:
    """Return the first entry of the last push if that has no result, with the step that it got to."""
    since: list[JournalEntry] = []
    for entry in entries_in(reversed(journal)):
        if entry.result:
            break
        since.append(entry)
    begun: Optional[JournalEntry] = None
    for entry in reversed(since):
        if begun and entry.push != begun.push:
            begun = None
        if entry.step == "push":
            begun = entry
        elif begun:
            begun = replace(begun, step=entry.step)
    return begun

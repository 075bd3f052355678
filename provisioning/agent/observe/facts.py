"""Print as JSON what is on this host. Input: {"root", "project", "manifest", "only_containers"}.

Reads only. `manifest` is the wanted one; without a wanted manifest, everything is seen from the current
release's. With `only_containers` nothing else is looked at.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

from provisioning.agent.docker_engine import has_command, way_to_docker
from provisioning.agent.observe.runtime_split import SplitInForce
from provisioning.agent.shared_values import given
from provisioning.agent.store.leftovers import leftovers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

request = json.load(sys.stdin)
root, project = request["root"], request["project"]
releases = os.path.join(root, "releases")
OWN = {"manifest.json"}


def load(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def sha256(path: str) -> str | None:
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        while chunk := os.read(descriptor, 1 << 20):
            digest.update(chunk)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def compare(directory: str, entries: list[dict[str, Any]], own: Iterable[str] = ()) -> list[str]:
    """What differs between a directory and the entries that it should hold."""
    wrong: list[str] = []
    wanted = {entry["path"]: entry for entry in entries}
    for path, entry in wanted.items():
        full = f"{directory}/{path}"
        try:
            mode = os.lstat(full).st_mode
        except OSError:
            wrong.append("missing " + path)
            continue
        if mode & 0o777 != entry["mode"] or sha256(full) != entry["sha256"]:
            wrong.append("changed " + path)
    for folder, _, names in os.walk(directory):
        inner = folder[len(directory) + 1 :]
        for name in names:
            path = f"{inner}/{name}" if inner else name
            if path not in wanted and path not in own:
                wrong.append("added " + path)
    return sorted(wrong)


def containers(inspected: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in inspected:
        labels, state = item["Config"].get("Labels") or {}, item["State"]
        if labels.get("com.docker.compose.oneoff") == "True":
            continue
        health = state.get("Health") or {}
        log = health.get("Log") or [{}]
        exited = "" if state["Status"] == "running" else f"status {state.get('ExitCode')}"
        if exited and state.get("Error"):
            # Docker could not start it, so it has no log of its own that says why.
            exited += ": " + state["Error"]
        yield {
            "id": item["Id"],
            "service": labels.get("com.docker.compose.service", ""),
            "digest": labels.get("io.onebox.service-digest", ""),
            "image": item["Config"]["Image"],
            "image_id": item["Image"],
            "state": state["Status"],
            "health": health.get("Status", "") if health.get("Status") != "none" else "",
            "said": exited or str((log[-1] or {}).get("Output", "")).strip()[-300:],
        }


def live_data(name: str, entry: dict[str, Any]) -> dict[str, Any] | None:
    """What a service that reads its data anew on a signal has before it; None where there is nothing."""
    home = os.path.join(root, "live", name)
    try:
        digest = os.path.basename(os.readlink(os.path.join(home, ".current")))
    except OSError:
        return None
    wrong: list[str] = []
    if digest == entry["digest"]:
        wrong = compare(os.path.join(home, ".data", digest), entry["files"])
        for top in sorted({item["path"].split("/")[0] for item in entry["files"]}):
            link = os.path.join(home, top)
            if not os.path.islink(link) or os.readlink(link) != ".current/" + top:
                wrong.append("changed " + top)
    try:
        with open(os.path.join(home, ".in-force"), encoding="utf-8") as file:
            in_force = file.read()
    except OSError:
        in_force = ""
    return {"digest": digest, "in_force": in_force, "problems": wrong}


def measured() -> dict[str, list[float]]:
    """Service -> seconds that its last five recreations took, the newest last."""
    took: dict[str, list[float]] = {}
    for entry in entries_of(line for line in journal if '"took"' in line):
        for service, seconds in (entry.get("took") or {}).items():
            took[service] = [*took.get(service, []), float(seconds)][-5:]
    return took


def journal_lines() -> list[str]:
    try:
        with open(os.path.join(root, "journal.jsonl"), encoding="utf-8") as file:
            return file.read().splitlines()
    except OSError:
        return []


def entries_of(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    # There may be thousands, and most questions are about a few of them: each reader says which it parses.
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def holder() -> str:
    """Who pushes right now. A stale file of a process that is gone counts as nobody."""
    entry = load(os.path.join(root, "push.holder"))
    if not entry:
        return ""
    try:
        os.kill(entry["pid"], 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "{who}, {doing}, since {since}".format(**entry)


def last_success() -> Any:
    return next((entry for entry in entries_of(reversed(journal)) if entry.get("result") == "ok"), None)


def unfinished() -> Any:
    """The last push that wrote its beginning and not its end: its first line, with the step it got to."""
    since: list[dict[str, Any]] = []
    for entry in entries_of(reversed(journal)):
        if entry.get("result"):
            break
        since.append(entry)
    begun: dict[str, Any] = {}
    for entry in reversed(since):
        if entry.get("push") != begun.get("push"):
            begun = {}
        if entry.get("step") == "push":
            begun = {**entry, "step": "push"}
        elif begun:
            begun["step"] = entry.get("step", "")
    return begun or None


def secret_problem(name: str, digest: str) -> str:
    """What is wrong with the file of a secret, told without reading it."""
    folder = os.path.join(root, "secrets", digest)
    noted = load(os.path.join(folder, "index.json"))
    try:
        found = os.lstat(os.path.join(folder, name))
    except OSError:
        return "missing " + name
    if not noted or (noted["inode"], noted["changed"]) != (found.st_ino, found.st_ctime_ns):
        return "changed " + name
    return ""


docker = way_to_docker(project, images=not request["only_containers"])
inspected = docker.containers()
if request["only_containers"]:
    print(json.dumps({"containers": list(containers(inspected))}))
    sys.exit()
# Answered while the files are read.
split = SplitInForce(inspected)

try:
    current = os.path.basename(os.readlink(os.path.join(root, "current")))
except OSError:
    current = ""
known: dict[str, Any] = {}
for name in os.listdir(releases) if os.path.isdir(releases) else []:
    found = None if name.endswith(".partial") else load(os.path.join(releases, name, "manifest.json"))
    if found:
        known[name] = found
current_manifest = known.get(current)
manifest = given(request["manifest"]) or current_manifest

present = False
problems: list[str] = []
needed: list[str] = []
data_problems: dict[str, list[str]] = {}
secret_problems: dict[str, str] = {}
live: dict[str, dict[str, Any]] = {}
if manifest:
    home = os.path.join(releases, manifest["release"])
    present = manifest["release"] in known
    problems = compare(home, manifest["files"], OWN)
    for variable, entry in manifest["data"].items():
        found = live_data(variable, entry) if entry.get("live") else None
        if found:
            live[variable] = found
        data_problems[entry["digest"]] = compare(os.path.join(root, "data", entry["digest"]), entry["files"])
    for name, secret in manifest.get("secrets", {}).items():
        wrong = secret_problem(name, secret["digest"])
        if wrong:
            secret_problems[secret["digest"]] = wrong
    bad = {line.split(" ", 1)[1] for line in problems}
    places: dict[str, list[str]] = {}
    for name, other in known.items():
        for entry in other["files"]:
            places.setdefault(entry["sha256"], []).append(os.path.join(releases, name, entry["path"]))
    for entry in manifest["files"]:
        if entry["path"] in bad and not any(
            sha256(place) == entry["sha256"] for place in places.get(entry["sha256"], [])
        ):
            needed.append(entry["sha256"])

builds: dict[str, dict[str, str]] = {}
for name in sorted(known, key=lambda item: os.stat(os.path.join(releases, item)).st_mtime):
    for service, part in known[name]["services"].items():
        if part["build"]:
            builds.setdefault(service, {})[part["build"]] = part["image"]
sizes = {name: (digest, size) for name, digest, size in docker.images()}
tags = {name: digest for name, (digest, _) in sizes.items()}
for service, made in builds.items():
    builds[service] = {build: image for build, image in made.items() if image in tags}

journal = journal_lines()
disk = os.statvfs(root if os.path.isdir(root) else "/")
print(
    json.dumps(
        {
            "current": current or None,
            "current_manifest": current_manifest,
            "present": present,
            "problems": problems,
            "data_problems": data_problems,
            "secret_problems": secret_problems,
            "leftovers": leftovers(root),
            "unfinished": unfinished(),
            "live": live,
            "needed": sorted(set(needed)),
            "containers": list(containers(inspected)),
            "images": tags,
            "image_bytes": {name: size for name, (_, size) in sizes.items()},
            "builds": builds,
            "holder": holder(),
            "journal": last_success(),
            "measured": measured(),
            "split_in_force": split.told(),
            "can_carry_out": has_command(),
            "free_bytes": disk.f_bavail * disk.f_frsize,
        }
    )
)

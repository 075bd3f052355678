"""Print as JSON what is on this host. Input: {"root", "project", "manifest": the wanted one or null}.

Reads only. Without a wanted manifest, everything is seen from the current release's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
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
        if os.path.islink(path):
            return None
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def compare(directory: str, entries: list[dict[str, Any]], own: Iterable[str] = ()) -> list[str]:
    """What differs between a directory and the entries that it should hold."""
    wrong: list[str] = []
    wanted = {entry["path"]: entry for entry in entries}
    for path, entry in wanted.items():
        full = os.path.join(directory, path)
        if not os.path.lexists(full):
            wrong.append("missing " + path)
        elif sha256(full) != entry["sha256"] or os.stat(full).st_mode & 0o777 != entry["mode"]:
            wrong.append("changed " + path)
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), directory)
            if path not in wanted and path not in own:
                wrong.append("added " + path)
    return sorted(wrong)


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"docker {argv[0]}: {done.stderr.strip()}")
    return done.stdout


def containers() -> Iterator[dict[str, Any]]:
    ids = docker(
        "ps", "--all", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project=" + project
    ).split()
    for item in json.loads(docker("inspect", *ids)) if ids else []:
        labels, state = item["Config"].get("Labels") or {}, item["State"]
        if labels.get("com.docker.compose.oneoff") == "True":
            continue
        health = state.get("Health") or {}
        log = health.get("Log") or [{}]
        exited = "" if state["Status"] == "running" else f"status {state.get('ExitCode')}"
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


def images() -> dict[str, str]:
    rows = docker("image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    return dict(row.split() for row in rows if "<none>" not in row)


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
    try:
        with open(os.path.join(root, "journal.jsonl"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("result") == "ok":
            return entry
    return None


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
manifest = request["manifest"] or current_manifest

present = False
problems: list[str] = []
needed: list[str] = []
data_problems: dict[str, list[str]] = {}
if manifest:
    home = os.path.join(releases, manifest["release"])
    present = manifest["release"] in known
    problems = compare(home, manifest["files"], OWN)
    for entry in manifest["data"].values():
        data_problems[entry["digest"]] = compare(os.path.join(root, "data", entry["digest"]), entry["files"])
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
tags = images()
for service, made in builds.items():
    builds[service] = {build: image for build, image in made.items() if image in tags}

print(
    json.dumps(
        {
            "current": current or None,
            "current_manifest": current_manifest,
            "present": present,
            "problems": problems,
            "data_problems": data_problems,
            "needed": sorted(set(needed)),
            "containers": list(containers()),
            "images": tags,
            "builds": builds,
            "holder": holder(),
            "journal": last_success(),
            "free_bytes": shutil.disk_usage(root if os.path.isdir(root) else "/").free,
        }
    )
)

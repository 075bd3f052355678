"""A stack's outputs from the engine's state file, where that certainly equals the engine's own answer.

Starting the engine for them takes about a second. A backend in a directory keeps each stack as one JSON file,
which the engine replaces by rename. Anything unexpected returns None, and the caller runs the engine: another
backend, another format, a missing stack, an encrypted output. Decrypts nothing and writes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from provisioning.agent.codec import parse

_FILE = "file://"
_PLAIN_PATH = re.compile(r"/[^?#%]*")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_PROJECT = re.compile(r"^name:[ \t]*([A-Za-z0-9_.-]+)[ \t]*$", re.MULTILINE)
_VERSION = 3
_ROOT_TYPE = "pulumi:pulumi:Stack"
_SPECIAL = "4dabf18193072939515e22adb298388d"
"""The key in every value that is not plain: secrets, assets, references."""


def read_checkpoint(
    project_root: Path, stack: str | None, names: Iterable[str], environment: Mapping[str, str]
) -> dict[str, object] | None:
    """Return those of these outputs that the stack (None: the selected one) has, or None: run the engine.

    `environment` is the engine's environment.
    """
    directory = _directory(environment.get("PULUMI_BACKEND_URL", ""))
    project = _project(project_root)
    if directory is None or project is None:
        return None
    name = stack or _selected(project_root, project, environment)
    if name is None or not _NAME.fullmatch(name):
        return None
    file = directory / ".pulumi" / "stacks" / project / f"{name}.json"
    if any(file.with_name(file.name + packed).exists() for packed in (".gz", ".zst")):
        return None
    outputs = _root_outputs(_load(file), f"urn:pulumi:{name}::{project}::{_ROOT_TYPE}::{project}-{name}")
    if outputs is None:
        return None
    found = {key: outputs[key] for key in names if key in outputs}
    return found if _plain(found) else None


def _directory(url: str) -> Path | None:
    path = url.removeprefix(_FILE)
    return Path(path) if url.startswith(_FILE) and _PLAIN_PATH.fullmatch(path) else None


def _project(root: Path) -> str | None:
    try:
        found = _PROJECT.findall((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found[0] if len(found) == 1 else None


def _selected(root: Path, project: str, environment: Mapping[str, str]) -> str | None:
    """Return the stack that `pulumi stack select` chose for the project in this directory."""
    home = environment.get("PULUMI_HOME")
    if not home or environment.get("PULUMI_STACK"):
        return None
    directory = hashlib.sha1(str(root / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    chosen = _member(_load(Path(home) / "workspaces" / f"{project}-{directory}-workspace.json"), "stack")
    if not isinstance(chosen, str):
        return None
    return chosen.removeprefix(f"organization/{project}/")


def _load(file: Path) -> object:
    try:
        return parse(file.read_bytes())
    except (OSError, ValueError):
        return None


def _member(value: object, *names: str) -> object:
    """Return what is at this path of a JSON document; None where nothing is."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _root_outputs(state: object, urn: str) -> dict[str, object] | None:
    """Return the outputs of the stack's own resource."""
    if _member(state, "version") != _VERSION or _member(state, "features"):
        return None
    resources = _member(state, "checkpoint", "latest", "resources")
    if not isinstance(resources, list):
        return None
    roots = [item for item in resources if _member(item, "type") == _ROOT_TYPE]
    if len(roots) != 1 or _member(roots[0], "urn") != urn:
        return None
    outputs = _member(roots[0], "outputs")
    return outputs if isinstance(outputs, dict) else None


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return _SPECIAL not in value and all(map(_plain, value.values()))
    return all(map(_plain, value)) if isinstance(value, list) else True

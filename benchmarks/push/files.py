"""What every contestant brings onto the host: the files of a release, each in a working copy of its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from provisioning.config.service_facts import UI_CODE
from provisioning.release.release import read_release

_PORT = re.compile(r'(ports: \[")(\d+)(:\d+"\])')
_TITLE = "onebox prediction API"
_RULE = "summary: The prediction API cannot be scraped"


def copy_release(project_root: Path, place: Path) -> int:
    """Copy the files of the tree's release, and nothing else, below `place`; return their number."""
    shutil.rmtree(place, ignore_errors=True)
    release = read_release(project_root, {})
    for file in release.files:
        target = place / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project_root / file.path, target)
        target.chmod(file.mode)
    return len(release.files)


def move_aside(place: Path, project: str, shift: int) -> None:
    """Let the copy run beside the others on one host: ports shifted, images under its own name."""
    compose = place / "docker-compose.yml"
    text, found = _PORT.subn(
        lambda match: f"{match[1]}{int(match[2]) + shift}{match[3]}", compose.read_text()
    )
    if found == 0:
        raise ValueError("no published port was found in the compose file")
    compose.write_text(text)
    (place / ".env").write_text(f"ONEBOX_IMAGE_PREFIX={project}\n")


def change_code(place: Path, mark: str) -> None:
    """Change a line in one file of the API, which the API reports."""
    _change(place / "app" / "api" / "openapi.py", rf'"{_TITLE}[^"]*"', f'"{_TITLE} ({mark})"')


def change_page(place: Path, mark: str) -> None:
    """Change a line in one file of the UI."""
    file = place / "ui" / "api" / "client.py"
    file.write_text(f"{file.read_text()}\n# {mark}\n")


def pages_digest(place: Path) -> str:
    """Return the digest that a UI with this tree's pages reports."""
    return read_release(place, {}).data[UI_CODE.variable].digest


def change_rule(place: Path, mark: str) -> None:
    """Change the text of one alert rule."""
    _change(place / "monitoring" / "rules" / "alerts.yml", rf"{re.escape(_RULE)}.*", f"{_RULE} ({mark})")


def _change(file: Path, pattern: str, text: str) -> None:
    changed, found = re.subn(pattern, text, file.read_text())
    if found != 1:
        raise ValueError(f"what is to be changed in {file.name} was not found")
    file.write_text(changed)

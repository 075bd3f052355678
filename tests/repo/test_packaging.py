"""The package's metadata, its lock and its licence agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import provisioning
from tools.wheel import checkout_imports, renamed

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_lock_is_resolved_from_every_group_of_requirements() -> None:
    lock_script = (ROOT / "tools/lock.sh").read_text()
    assert set(re.findall(r"--extra (\S+?)[ )]", lock_script)) == set(
        PYPROJECT["project"]["optional-dependencies"]
    )
    assert set(re.findall(r"--group (\S+?)[ )]", lock_script)) == set(PYPROJECT["dependency-groups"])


def test_the_lock_has_the_backend_that_builds_the_wheel() -> None:
    (backend,) = PYPROJECT["build-system"]["requires"]
    assert backend in PYPROJECT["dependency-groups"]["dev"]


def test_the_program_knows_the_version_of_the_package() -> None:
    assert provisioning.__version__ == PYPROJECT["project"]["version"]


def test_the_build_renames_modules_and_nothing_else() -> None:
    text = (
        "from provisioning import cli\nimport infra.host as host\n"
        "name, path = 'provisioning.cli', 'infra/host.py'\n"
    )

    assert renamed(text) == (
        "from onebox import cli\nimport onebox.infra.host as host\nname, path = 'onebox.cli', 'infra/host.py'\n"
    )
    assert checkout_imports(renamed(text)) == []


def test_the_build_finds_an_import_of_what_the_wheel_does_not_contain() -> None:
    text = "import provisioning\n\n\ndef load() -> None:\n    from app.settings import ApiSettings\n"

    assert checkout_imports(renamed(text)) == ["provisioning", "app.settings"]


def test_the_licence_is_the_one_that_the_package_declares() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text

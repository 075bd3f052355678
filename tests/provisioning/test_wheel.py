"""The wheel in an environment of its own: what it contains, what it requires, and that it pushes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

pytestmark = pytest.mark.process

COMMAND = """
import sys
from pathlib import Path
from onebox import cli
from onebox.cli import session
from onebox.config.settings import PushSettings, Target
key, host_key, port, root, project = sys.argv[1:6]
target = Target("127.0.0.1", "admin", Path(key), (host_key,), int(port))
settings = PushSettings(target, Path(project), remote_root=root, open_ports=frozenset({22}), min_free_bytes=0)
session.settings = lambda _stack: settings
sys.argv = ["onebox", *sys.argv[6:]]
cli.main()
"""
IMPORT_ALL = """
import importlib, pkgutil, re, sys
import onebox
names = [found.name for found in pkgutil.walk_packages(onebox.__path__, "onebox.")]
names = [name for name in names if re.match(sys.argv[1], name) and not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
strangers = {"provisioning", "infra", "app", "ui", "tests"} & sys.modules.keys()
assert not strangers, strangers
print(len(names))
"""


def run(
    argv: Iterable[str | Path], cwd: str = "/", status: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, argv)),
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    return done


def required(requirements: Iterable[str]) -> dict[str, metadata.Distribution]:
    """Return the distributions that satisfy `requirements` without extras, and all that those require, by name."""
    found: dict[str, metadata.Distribution] = {}
    pending = list(requirements)
    while pending:
        requirement = Requirement(pending.pop())
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        distribution = metadata.distribution(requirement.name)
        if distribution.name not in found:
            found[distribution.name] = distribution
            pending += distribution.requires or ()
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=str(ROOT),
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it requires, taken from this one: no network is needed."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    uv = Path(sys.executable).with_name("uv")
    run([uv, "venv", "--quiet", "--offline", "--python", sys.executable, venv])
    run([uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", venv / "bin/python", wheel])
    (site,) = venv.glob("lib/python*/site-packages")
    (installed,) = metadata.distributions(name="onebox", path=[str(site)])
    for distribution in required(installed.requires or ()).values():
        for file in distribution.files or ():
            if file.parts[0] not in ("..", "__pycache__"):
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(Path(str(distribution.locate_file(file))).resolve())
    return venv


def test_its_only_import_package_is_onebox(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0] for name in names} == {"onebox", f"onebox-{VERSION}.dist-info"}
    assert {"onebox/py.typed", "onebox/cli/__init__.py", "onebox/infra/host.py"} <= set(names)
    assert not [name for name in names if name.startswith("onebox/infra/local") or "requirements" in name]
    assert f"onebox-{VERSION}.dist-info/licenses/LICENSE" in names


def test_a_deploy_needs_few_packages(environment: Path) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    installed = {found.name for found in metadata.distributions(path=[str(site)])}

    assert {"onebox", "paramiko", "typer"} <= installed
    assert len(installed) <= 40
    assert not installed & {"pulumi", "flask", "streamlit", "scikit-learn", "moto", "pytest"}


@pytest.mark.parametrize("command", ["onebox", "python -m onebox"])
def test_the_command_has_help_and_the_version_of_pyproject(environment: Path, command: str) -> None:
    program, *words = command.split()
    argv = [str(environment / "bin" / program), *words]

    assert "push" in run([*argv, "--help"]).stdout
    assert run([*argv, "--version"]).stdout == f"onebox {VERSION}\n"


def test_the_checkout_has_the_same_version(environment: Path) -> None:
    assert run([ROOT / "tools/bin/onebox", "--version"]).stdout == f"onebox {VERSION}\n"


def test_every_module_of_a_deploy_loads_without_the_checkout_and_without_pulumi(environment: Path) -> None:
    # Modules of the agent act when they are loaded; the push below runs them.
    loaded = run([environment / "bin/python", "-c", IMPORT_ALL, r"onebox\.(?!agent|infra)"])

    assert int(loaded.stdout) >= 50


def test_every_component_loads_where_pulumi_is(wheel: Path) -> None:
    loaded = run([sys.executable, "-P", "-c", IMPORT_ALL, r"onebox\.infra\."], PYTHONPATH=str(wheel))

    assert int(loaded.stdout) >= 10


def test_it_plans_and_pushes(environment: Path, host: Any) -> None:
    given = [str(host.target.private_key_file), host.host_key, str(host.target.port), str(host.root)]
    onebox = [environment / "bin/python", "-c", COMMAND, *given, str(host.project)]

    planned = json.loads(run([*onebox, "plan", "--json"], status=2).stdout)
    pushed = json.loads(run([*onebox, "push", "--json"]).stdout)
    again = json.loads(run([*onebox, "push", "--json"]).stdout)

    assert planned["release"]["digest"] == pushed["release"] == again["release"]
    assert (pushed["changed"], again["changed"]) == (True, False)

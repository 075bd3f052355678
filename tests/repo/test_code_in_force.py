"""The push and the launcher give the same code the same name, so that one can prove what the other did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.launcher.code import read_code
from provisioning.config.service_facts import API_CODE, UI_CODE
from provisioning.release.manifest import Release
from provisioning.release.release import read_release
from ui.launcher.snapshot import take

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name in ("app", "ui", "monitoring"):
        shutil.copytree(
            ROOT / name, project / name, ignore=shutil.ignore_patterns("artifacts", "__pycache__")
        )
    shutil.copy2(ROOT / "docker-compose.yml", project)
    (project / "app/artifacts").mkdir()
    (project / "app/artifacts/manifest.json").write_text("{}")
    return project


def put_on_host(project: Path, release: Release, variable: str, on_host: Path) -> Path:
    data = release.data[variable]
    for file in data.files:
        place = on_host / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / data.path / file.path, place)
        place.chmod(file.mode)
    return on_host


def test_the_launcher_of_the_api_names_code_as_the_release_does(project: Path, tmp_path: Path) -> None:
    release = read_release(project, {})
    on_host = put_on_host(project, release, API_CODE.variable, tmp_path / "host")

    code = read_code(on_host)

    assert code.digest == release.data[API_CODE.variable].digest
    assert "api/routes.py" in code.modules
    (on_host / "api" / "routes.py").write_text("# other\n")
    assert read_code(on_host).digest != code.digest


def test_the_launcher_of_the_ui_names_code_as_the_release_does(project: Path, tmp_path: Path) -> None:
    release = read_release(project, {})
    on_host = put_on_host(project, release, UI_CODE.variable, tmp_path / "host")

    code = take(on_host, tmp_path / "store")

    assert code.digest == release.data[UI_CODE.variable].digest
    assert (code.path / "ui/app_pages/drift.py").is_file()
    (on_host / "display" / "wording.py").write_text("# other\n")
    assert take(on_host, tmp_path / "store").digest != code.digest


@pytest.mark.parametrize(
    ("service", "file", "image"),
    [
        ("flask-api", "app/api/routes.py", False),
        ("flask-api", "app/launcher/launcher.py", True),
        ("flask-api", "app/requirements.txt", True),
        ("streamlit-ui", "ui/app_pages/drift.py", False),
        ("streamlit-ui", "ui/launcher/launcher.py", True),
        ("streamlit-ui", "ui/.streamlit/config.toml", True),
        ("streamlit-ui", "ui/requirements.txt", True),
    ],
)
def test_a_new_image_is_made_only_of_what_is_read_when_a_container_starts(
    project: Path, service: str, file: str, image: bool
) -> None:
    before = read_release(project, {}).services[service]
    (project / file).write_text((project / file).read_text() + "\n# other\n")
    after = read_release(project, {}).services[service]
    assert (before.build != after.build, before.digest != after.digest) == (image, image)

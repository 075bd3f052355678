"""The push and the launchers compute the same digest of the same code, so that the push can verify the reload."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from images.api.launcher.code import read_code
from images.ui.launcher.snapshot import take_snapshot
from provisioning.config.service_facts import API_CODE, UI_CODE
from provisioning.release.manifest import Release
from provisioning.release.release import read_release

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name in ("app", "images", "ui", "monitoring"):
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


def test_the_launcher_of_the_api_computes_the_digest_of_the_release(project: Path, tmp_path: Path) -> None:
    release = read_release(project, {})
    on_host = put_on_host(project, release, API_CODE.variable, tmp_path / "host")

    code = read_code(on_host)

    assert code.digest == release.data[API_CODE.variable].digest
    assert "api/routes.py" in code.modules
    (on_host / "api" / "routes.py").write_text("# other\n")
    assert read_code(on_host).digest != code.digest


def test_the_launcher_of_the_ui_computes_the_digest_of_the_release(project: Path, tmp_path: Path) -> None:
    release = read_release(project, {})
    on_host = put_on_host(project, release, UI_CODE.variable, tmp_path / "host")

    code = take_snapshot(on_host, tmp_path / "store")

    assert code.digest == release.data[UI_CODE.variable].digest
    assert (code.path / "ui/app_pages/drift.py").is_file()
    (on_host / "display" / "wording.py").write_text("# other\n")
    assert take_snapshot(on_host, tmp_path / "store").digest != code.digest


API, UI, PROMETHEUS = "flask-api", "streamlit-ui", "prometheus"


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("images/api/Dockerfile", {API}),
        ("images/api/launcher/launcher.py", {API}),
        ("images/api/requirements.txt", {API}),
        ("images/ui/Dockerfile", {UI}),
        ("images/ui/launcher/launcher.py", {UI}),
        ("images/ui/launcher/.streamlit/config.toml", {UI}),
        ("images/ui/requirements.txt", {UI}),
        ("images/launcher/live_code.py", {API, UI}),
        ("images/prometheus/Dockerfile", {PROMETHEUS}),
        ("app/api/routes.py", set()),
        ("app/artifacts/manifest.json", set()),
        ("ui/app_pages/drift.py", set()),
        ("monitoring/rules/alerts.yml", set()),
    ],
)
def test_a_change_makes_a_new_image_of_exactly_the_services_that_are_built_from_it(
    project: Path, file: str, images: set[str]
) -> None:
    before = read_release(project, {})
    (project / file).write_text((project / file).read_text() + "\n# other\n")
    after = read_release(project, {})

    changed = {
        (name, before.services[name].build != part.build, before.services[name].digest != part.digest)
        for name, part in after.services.items()
    }
    assert changed == {(name, name in images, name in images) for name in (API, UI, PROMETHEUS)}
    assert before.digest != after.digest

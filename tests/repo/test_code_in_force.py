"""The push and the launcher give the same code the same name, so that one can prove what the other did."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.launcher.code import read_code
from provisioning.release import CODE_VARIABLE, read_release

ROOT = Path(__file__).resolve().parents[2]


def test_the_launcher_names_code_as_the_release_does(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("app", "ui", "monitoring"):
        shutil.copytree(
            ROOT / name, project / name, ignore=shutil.ignore_patterns("artifacts", "__pycache__")
        )
    shutil.copy2(ROOT / "docker-compose.yml", project)
    (project / "app/artifacts").mkdir()
    (project / "app/artifacts/manifest.json").write_text("{}")
    release = read_release(project, {})
    data = release.data[CODE_VARIABLE]
    on_host = tmp_path / "host"
    for file in release.files_of(data.path):
        place = on_host / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / data.path / file.path, place)
        place.chmod(file.mode)

    code = read_code(on_host)

    assert code.digest == data.digest
    assert "server.py" in code.modules
    (on_host / "routes.py").write_text("# other\n")
    assert read_code(on_host).digest != data.digest

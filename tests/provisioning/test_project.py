"""Which directory is the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.config.project import find_project_root
from provisioning.errors import SettingsError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "app" / "demo").mkdir(parents=True)
    for path in ("Pulumi.yaml", "docker-compose.yml", "app/demo/docker-compose.yml"):
        (root / path).write_text("")
    return root


@pytest.mark.parametrize("place", [".", "app", "app/demo"])
def test_the_nearest_pulumi_project_above_the_working_directory_is_taken(tree: Path, place: str) -> None:
    assert find_project_root(tree / place) == tree


def test_without_a_pulumi_project_the_nearest_compose_file_counts(tree: Path) -> None:
    (tree / "Pulumi.yaml").unlink()

    assert find_project_root(tree / "app" / "demo") == tree / "app" / "demo"
    assert find_project_root(tree / "app") == tree


def test_a_configured_root_wins_over_the_working_directory(tree: Path, tmp_path: Path) -> None:
    assert find_project_root(tmp_path, str(tree)) == tree


@pytest.mark.parametrize("configured", [".", "nowhere", "~no-such-user/x", "project/Pulumi.yaml", " "])
def test_a_configured_root_that_is_no_project_is_refused(
    configured: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=f"^{tmp_path}.* has neither a Pulumi.yaml nor") as caught:
        find_project_root(tree, configured)

    assert caught.value.hint == "Set ONEBOX_PROJECT to the project's root."


def test_no_project_anywhere_is_one_sentence_and_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^neither {tmp_path} nor a directory above it has") as caught:
        find_project_root(tmp_path)

    assert caught.value.hint == "Change to the project's directory, or set ONEBOX_PROJECT to it."

"""What the images hold: packages compiled once for each lock, launchers that need nothing of the code they load."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

from images.api.launcher.__main__ import MODULES as API_MODULES
from images.launcher import entry_point
from images.launcher.preload import preload
from images.ui.launcher.__main__ import MODULES as UI_MODULES

ROOT = Path(__file__).resolve().parents[2]
NOT_SERVED = ("app/training/", "app/train_model.py")


Launch = Callable[..., tuple[Path, Path]]


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Run a launcher with an empty loop; return the directories of code and state that the loop got."""
    given: list[tuple[Path, Path]] = []

    class Loop:
        def __init__(self, code_dir: Path, state_dir: Path) -> None:
            given.append((code_dir, state_dir))

        def run(self) -> int:
            return 3

    def run(**variables: str) -> tuple[Path, Path]:
        for name in ("CODE", "STATE"):
            monkeypatch.setenv(f"ONEBOX_{name}_DIR", variables.get(name, ""))
        assert entry_point.run(Loop, "api", "app", ()) == 3
        return given[-1]

    monkeypatch.setattr(entry_point, "preload", lambda _modules: None)
    return run


def required(image: str) -> set[str]:
    """The packages that a service names, as they are imported; urllib3 comes with requests."""
    lines = (ROOT / "images" / image / "requirements.in").read_text().splitlines()
    names = {re.split(r"[<>=~]", line)[0].strip() for line in lines if line and not line.startswith("#")}
    return {name.replace("-", "_") for name in names} - {"urllib3"}


def locked(image: str) -> dict[str, str]:
    """Version of each package of the image's lock."""
    text = (ROOT / "images" / image / "requirements.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def imported(folder: str) -> set[str]:
    """Top-level names of all absolute imports in the served Python files of a folder, in functions too."""
    names = set()
    for file in (ROOT / folder).rglob("*.py"):
        if not file.relative_to(ROOT).as_posix().startswith(NOT_SERVED):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                    names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names)


@pytest.mark.parametrize("image", ["api", "ui"])
def test_the_packages_of_the_lock_are_compiled_in_the_layer_that_installs_them(image: str) -> None:
    text = (ROOT / "images" / image / "Dockerfile").read_text()
    installing = text[text.index("uv pip install") : text.index("COPY --chmod=0555")]

    (compiled,) = re.findall(r'python -c "import ([^"]+)"', installing)

    assert {name.partition(".")[0] for name in compiled.split(", ")} >= required(image)


@pytest.mark.parametrize(("image", "modules"), [("api", API_MODULES), ("ui", UI_MODULES)])
def test_every_preloaded_module_exists_in_the_packages_of_the_lock(
    image: str, modules: tuple[str, ...]
) -> None:
    versions, distributions = locked(image), packages_distributions()
    for name in modules:
        package, dot, _ = name.partition(".")
        assert importlib.util.find_spec(name), name
        if package not in sys.stdlib_module_names:
            (distribution,) = set(distributions[package])
            assert distribution.lower() in {key.replace("-", "_") for key in versions} | versions.keys()
            # A private module may be in one version and not in the next.
            assert not dot or version(distribution) == versions[distribution.replace("_", "-").lower()], name


def test_a_module_that_is_missing_ends_the_preload(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "JE_ARROW_MALLOC_CONF"):
        monkeypatch.setenv(name, "")

    with pytest.raises(ModuleNotFoundError, match="no_module_of_that_name"):
        preload(["json", "no_module_of_that_name"])


@pytest.mark.parametrize(
    ("given", "code", "state"),
    [
        ({}, ROOT / "app", ROOT / ".onebox" / "api"),
        ({"CODE": "/code", "STATE": "{tmp}/state"}, "/code", "{tmp}/state"),
    ],
)
def test_a_launcher_and_its_service_have_one_state_directory(
    given: dict[str, str], code: Path | str, state: Path | str, launch: Launch, tmp_path: Path
) -> None:
    state = str(state).format(tmp=tmp_path)

    assert launch(**{name: path.format(tmp=tmp_path) for name, path in given.items()}) == (
        Path(code),
        Path(state),
    )
    assert os.environ["ONEBOX_STATE_DIR"] == state


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_launcher_refuses_a_state_directory_that_others_can_write_to(
    mode: int, launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)

    with pytest.raises(SystemExit, match=f"^{tmp_path}/state is open to other users. Set ONEBOX_STATE_DIR"):
        launch(STATE=f"{tmp_path}/state")


@pytest.mark.parametrize(
    ("name", "why"), [("link", "is open to other users"), ("file", "cannot be used: File exists")]
)
def test_a_launcher_refuses_a_state_directory_that_is_none(
    name: str, why: str, launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "file").touch()

    with pytest.raises(SystemExit, match=f"^{tmp_path}/{name} {why}"):
        launch(STATE=f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("folder", "modules", "with_others"),
    [("app", API_MODULES, {"werkzeug"}), ("ui", UI_MODULES, {"urllib3"})],
)
def test_what_the_code_imports_from_others_is_preloaded(
    folder: str, modules: tuple[str, ...], with_others: set[str]
) -> None:
    assert imported(folder) - {folder} - with_others <= {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    ("folder", "others"),
    [("images/launcher", set()), ("images/api", set()), ("images/ui", {"streamlit", "starlette"})],
)
def test_launchers_import_nothing_of_the_code_that_they_load(folder: str, others: set[str]) -> None:
    assert imported(folder) <= {"images"} | others

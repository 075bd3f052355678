"""What a release is made of, and which change moves which digest."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioning.errors import ReleaseError
from provisioning.host.store import make_archive
from provisioning.release.manifest import Release
from provisioning.release.release import read_release


def _changed(before: Release, after: Release) -> set[str]:
    return {name for name in after.services if before.services.get(name) != after.services[name]}


def _edit(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "services"),
    [
        (_edit("app/server.py", "api", "API"), {"api"}),
        (_edit("models/model.onnx", "model", "new"), {"api"}),
        (_edit("ui/page.py", "web", "WEB"), {"web"}),
        (lambda root: (root / "ui/new.py").write_text(""), {"web"}),
        (lambda root: (root / "ui/page.py").rename(root / "ui/renamed.py"), {"web"}),
        (lambda root: (root / "ui/page.py").chmod(0o755), {"web"}),
        (_edit("docker-compose.yml", ":-50}", ":-60}"), {"api"}),
        (lambda root: _append(root, "networks: {default: {}}\n"), {"api", "web"}),
    ],
)
def test_a_change_moves_the_digest_of_exactly_the_services_that_it_can_change(
    project: Path, change: Callable[[Path], None], services: set[str]
) -> None:
    before = read_release(project, {})

    change(project)

    after = read_release(project, {})
    assert _changed(before, after) == services
    assert before.digest != after.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "app/server.py", (1, 1)),
        lambda root: (root / "app/server.py").chmod(0o600),
        lambda root: (root / "app/server.py").chmod(0o664),
        lambda root: _new(root, "app/__pycache__/server.cpython-313.pyc"),
        lambda root: _new(root, "app/server.pyc"),
        lambda root: _new(root, "app/tests/test_server.py"),
        lambda root: _new(root, "app/.server.py.swp"),
        lambda root: _new(root, "app/server.py~"),
        lambda root: _new(root, "ui/.streamlit/secrets.toml"),
        lambda root: _new(root, "README.md"),
    ],
)
def test_what_users_cannot_see_does_not_move_a_digest(project: Path, change: Callable[[Path], None]) -> None:
    before = read_release(project, {})

    change(project)

    assert read_release(project, {}) == before


def test_comments_and_order_in_the_compose_file_do_not_move_a_services_digest(project: Path) -> None:
    before = read_release(project, {})
    text = (project / "docker-compose.yml").read_text()
    head, web = text.split("  web:")
    api = head.removeprefix("services:\n")
    (project / "docker-compose.yml").write_text(f"# a comment\nservices:\n  web:{web}{api}")

    assert read_release(project, {}).services == before.services


def test_a_value_moves_the_digest_of_the_services_that_use_it(project: Path) -> None:
    before = read_release(project, {})

    after = read_release(project, {"MODEL_V1_WEIGHT": "70"})

    assert _changed(before, after) == {"api"}
    assert before.digest != after.digest


def test_new_models_do_not_change_what_the_image_is_built_from(project: Path) -> None:
    before = read_release(project, {}).services["api"]
    (project / "models/model.onnx").write_text("new")

    after = read_release(project, {}).services["api"]

    assert (before.build, before.digest != after.digest) == (after.build, True)


SHARED = "{context: ./ui, additional_contexts: {tools: ./tools, base: docker-image://debian:trixie-slim}}"


def test_files_of_an_additional_build_context_ship_and_make_a_new_image(project: Path) -> None:
    _edit("docker-compose.yml", "build: ./ui", f"build: {SHARED}")(project)
    _new(project, "tools/a.sh")
    before = read_release(project, {})
    _new(project, "tools/more/b.sh")

    after = read_release(project, {})

    assert {file.path for file in after.files} - {file.path for file in before.files} == {"tools/more/b.sh"}
    assert {name for name in after.services if before.services[name].build != after.services[name].build} == {
        "web"
    }


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ("./tools", "service web has no files in its build context tools"),
        ("../tools", "service web uses ../tools, which is not a directory inside the project"),
    ],
)
def test_an_additional_build_context_that_cannot_ship_is_refused(
    project: Path, context: str, sentence: str
) -> None:
    build = SHARED.replace("./tools", context)
    _edit("docker-compose.yml", "build: ./ui", f"build: {build}")(project)

    with pytest.raises(ReleaseError, match=sentence):
        read_release(project, {})


CODE_MOUNT = './app/artifacts}:/srv/models:ro", "${ONEBOX_API_CODE_DIR:-./app}:/srv/app:ro'


@pytest.fixture
def live_code(project: Path) -> Path:
    """The project with an API that reloads its code and its models, and is built from a directory of its own."""
    _edit("docker-compose.yml", "./models}:/srv/models:ro", CODE_MOUNT)(project)
    _edit(
        "docker-compose.yml",
        "build: {context: ./app}",
        "x-onebox-reload: SIGHUP\n    build: {context: ./images/api}",
    )(project)
    for path in ("images/api/Dockerfile", "images/api/.dockerignore", "images/api/launcher/main.py"):
        _new(project, path)
    _new(project, "app/artifacts/model.onnx")
    (project / "app/Dockerfile").unlink()
    return project


@pytest.mark.parametrize(
    ("path", "code", "models", "service"),
    [
        ("app/server.py", True, False, False),
        ("app/new.py", True, False, False),
        ("app/artifacts/model.onnx", False, True, False),
        ("images/api/requirements.txt", False, False, True),
        ("images/api/launcher/main.py", False, False, True),
        ("images/api/Dockerfile", False, False, True),
        ("images/api/.dockerignore", False, False, True),
    ],
)
def test_a_new_image_is_made_of_the_build_context_and_never_of_mounted_code(
    live_code: Path, path: str, code: bool, models: bool, service: bool
) -> None:
    before = read_release(live_code, {})

    with (live_code / path).open("a") as file:
        file.write("# more\n")

    after = read_release(live_code, {})
    assert (before.data["ONEBOX_API_CODE_DIR"] != after.data["ONEBOX_API_CODE_DIR"]) is code
    assert (before.data["ONEBOX_MODELS_DIR"] != after.data["ONEBOX_MODELS_DIR"]) is models
    assert ("api" in _changed(before, after)) is service
    assert (before.services["api"].build != after.services["api"].build) is service
    assert before.digest != after.digest


@pytest.mark.parametrize("context", ["./app", "./app/artifacts", "."])
def test_a_service_whose_image_is_built_from_what_it_reloads_is_refused(
    live_code: Path, context: str
) -> None:
    _edit("docker-compose.yml", "./images/api", context)(live_code)
    _new(live_code, f"{context}/Dockerfile")

    with pytest.raises(ReleaseError, match=r"service api reloads app\S*, and its image is built from it"):
        read_release(live_code, {})


def test_files_of_mounted_code_do_not_hold_the_models_that_are_mounted_apart(live_code: Path) -> None:
    release = read_release(live_code, {})

    assert [file.path for file in release.data["ONEBOX_API_CODE_DIR"].files] == ["server.py"]
    assert [file.path for file in release.data["ONEBOX_MODELS_DIR"].files] == ["model.onnx"]


def test_services_come_in_the_order_in_which_they_depend_on_each_other(project: Path) -> None:
    _edit("docker-compose.yml", "    depends_on: [api]\n", "")(project)
    _edit("docker-compose.yml", "    build: {context: ./app}\n", "    build: ./app\n    depends_on: [web]\n")(
        project
    )

    assert list(read_release(project, {}).services) == ["web", "api"]


def test_a_link_inside_the_tree_ships_what_it_points_to(project: Path) -> None:
    (project / "ui/link.py").symlink_to("page.py")

    files = {file.path: file.sha256 for file in read_release(project, {}).files}

    assert files["ui/link.py"] == files["ui/page.py"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda root: (root / "ui/link").symlink_to("/etc/passwd"),
            "ui/link is a link that leaves the project",
        ),
        (lambda root: (root / "ui/link").symlink_to("nowhere"), "ui/link cannot be read"),
        (lambda root: os.mkfifo(root / "ui/pipe"), "ui/pipe is not a regular file"),
        (lambda root: (root / "ui/a\nb").write_text(""), "characters that cannot be shipped"),
        (
            lambda root: (root / "models/model.onnx").unlink(),
            "models is empty: the models are missing",
        ),
        (lambda root: (root / "ui/Dockerfile").unlink(), "service web has no ui/Dockerfile"),
        (lambda root: (root / "docker-compose.yml").write_text("services: ["), "not valid YAML"),
        (lambda root: (root / "docker-compose.yml").write_text("x: 1"), "has no services"),
        (
            _edit("docker-compose.yml", "depends_on: [api]", "depends_on: [db]"),
            "depends on db, which does not exist",
        ),
        (_edit("docker-compose.yml", "./ui", "../ui"), "is not a directory inside the project"),
        (
            _edit("docker-compose.yml", "${ONEBOX_MODELS_DIR:-./models}", "./models"),
            "by a literal path",
        ),
        (
            _edit("docker-compose.yml", "onebox/web:${ONEBOX_WEB_DIGEST:-dev}", "web:1"),
            "does not carry its digest",
        ),
        (_edit("docker-compose.yml", "${MODEL_V1_WEIGHT:-50}", "${MODEL_V1_WEIGHT}"), "without a default"),
    ],
)
def test_a_tree_that_cannot_be_released_is_refused_in_one_sentence(
    project: Path, change: Callable[[Path], None], sentence: str
) -> None:
    change(project)

    with pytest.raises(ReleaseError, match=sentence.replace("$", r"\$")):
        read_release(project, {})


def test_missing_models_come_with_the_command_that_makes_them(project: Path) -> None:
    (project / "models/model.onnx").unlink()

    with pytest.raises(ReleaseError) as caught:
        read_release(project, {})

    assert caught.value.hint == "Run `python app/train_model.py` first."


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("MODEL_V3_WEIGHT", "does not use the variable"), ("ONEBOX_API_DIGEST", "is set by the push itself")],
)
def test_a_variable_that_has_no_effect_is_refused(project: Path, name: str, sentence: str) -> None:
    with pytest.raises(ReleaseError, match=sentence):
        read_release(project, {name: "1"})


def test_a_variable_without_default_may_get_its_value_from_the_stack(project: Path) -> None:
    _edit("docker-compose.yml", "${MODEL_V1_WEIGHT:-50}", "${MODEL_V1_WEIGHT}")(project)

    assert read_release(project, {"MODEL_V1_WEIGHT": "1"}).environment == {"MODEL_V1_WEIGHT": "1"}


def _append(root: Path, text: str) -> None:
    file = root / "docker-compose.yml"
    file.write_text(file.read_text() + text)


def _new(root: Path, path: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text("new")


def test_an_archive_holds_the_bytes_that_were_hashed_whatever_becomes_of_the_tree(project: Path) -> None:
    release = read_release(project, {})
    (project / "app" / "server.py").write_text("changed meanwhile")
    (project / "ui" / "page.py").unlink()

    packed = make_archive(release.files, release.contents)

    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        digests = {name: hashlib.sha256(file.read()).hexdigest() for name, file in found.items() if file}
    assert digests == {file.sha256: file.sha256 for file in release.files}

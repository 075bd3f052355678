"""A release: every file that ships, and one digest over all of it and one for each service.

Pure except for reading the project's tree. The same tree and environment give the same digests on
every machine: of a file's mode only the executable bit counts, and neither order nor time does.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.compose_file import ComposeFile, Service, parse_compose_file, substitute
from provisioning.errors import ReleaseError

COMPOSE_FILE = "docker-compose.yml"
MODELS_VARIABLE = "ONEBOX_MODELS_DIR"

_IGNORED_DIRECTORIES = frozenset(
    [
        "__pycache__",
        "tests",
        ".git",
        ".venv",
        ".idea",
        ".vscode",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".ipynb_checkpoints",
        "node_modules",
    ]
)
_IGNORED_FILES = re.compile(r".*\.py[cod]|.*~|\.?#.*|.*\.sw[a-p]|.*\.(orig|rej|tmp)|\.DS_Store|\.env.*")
_IGNORED_PATHS = re.compile(r"(.*/)?\.streamlit/secrets(\..*)?")
_UNUSABLE_NAME = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, order=True)
class ReleaseFile:
    """One file: path relative to the project's root, mode (0o644 or 0o755), SHA-256 hex, size in bytes."""

    path: str
    mode: int
    sha256: str
    size: int


@dataclass(frozen=True)
class DataDirectory:
    """A directory that a service mounts: its path in the tree and the digest of its content."""

    path: str
    digest: str


@dataclass(frozen=True)
class ServiceRelease:
    """What a release says about one service."""

    digest: str
    build: str | None
    """Digest of what can change the image; None for a service that is not built."""
    image: str
    """Name and tag of the image; the tag is the service's digest."""
    data: tuple[str, ...]
    """Variables of the data directories that it mounts."""
    digest_variable: str


@dataclass(frozen=True)
class Release:
    """Everything that can change what users see, under one digest (SHA-256 hex)."""

    digest: str
    files: tuple[ReleaseFile, ...]
    services: dict[str, str]
    """Service -> its own digest, in dependency order."""
    data: dict[str, DataDirectory]
    """Variable -> the directory it stands for."""
    environment: dict[str, str]
    parts: dict[str, ServiceRelease]

    @property
    def short(self) -> str:
        """The digest as people see it."""
        return self.digest[:12]

    def files_of(self, directory: str) -> tuple[ReleaseFile, ...]:
        """Files below a directory, with paths relative to it."""
        return _below(self.files, directory)


def read_release(project_root: Path, environment: Mapping[str, str]) -> Release:
    """The release that this tree and these values of the services' environment make.

    Raises ReleaseError in one sentence when the tree cannot be released: models that are not trained,
    links that leave the tree, special files, variables that the compose file does not use.
    """
    root = Path(project_root)
    compose = parse_compose_file(_read_compose(root))
    _check_environment(compose, environment)
    data_paths = {name: path for service in compose.services for name, path in service.data.items()}
    contexts = {service.context for service in compose.services if service.context}
    files = tuple(sorted(_read_files(root, contexts | set(data_paths.values()))))
    data = {name: _data_directory(files, name, path) for name, path in sorted(data_paths.items())}
    parts = {
        service.name: _service_release(root, compose, service, files, data, environment)
        for service in compose.services
    }
    services = {name: part.digest for name, part in parts.items()}
    return Release(
        digest=_digest({"files": _lines(files), "environment": dict(environment)}),
        files=files,
        services=services,
        data=data,
        environment=dict(sorted(environment.items())),
        parts=parts,
    )


def _read_compose(root: Path) -> str:
    try:
        return (root / COMPOSE_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{COMPOSE_FILE} cannot be read: {error}") from error


def _check_environment(compose: ComposeFile, environment: Mapping[str, str]) -> None:
    own = compose.own_variables
    for name in sorted(environment):
        if name in own:
            raise ReleaseError(f"{name} is set by the push itself and cannot be given")
        if name not in compose.variables:
            usable = ", ".join(sorted(compose.variables - own)) or "no variable at all"
            raise ReleaseError(f"{COMPOSE_FILE} does not use the variable {name}", hint=f"It uses {usable}.")
    missing = sorted(compose.required - own - set(environment))
    if missing:
        raise ReleaseError(
            f"{COMPOSE_FILE} uses {missing[0]} without a default, and nothing gives it a value",
            hint=f"Write ${{{missing[0]}:-default}}, or set it in the stack's config.",
        )


def _service_release(
    root: Path,
    compose: ComposeFile,
    service: Service,
    files: tuple[ReleaseFile, ...],
    data: Mapping[str, DataDirectory],
    environment: Mapping[str, str],
) -> ServiceRelease:
    section = json.loads(service.section)
    build = None
    if service.context is not None:
        build = _digest({"build": section.get("build"), "files": _lines(_build_files(root, service, files))})
    used = service.variables | frozenset(name for name in environment if f"${{{name}" in compose.shared)
    digest = _digest(
        {
            "build": build,
            "data": {name: data[name].digest for name in service.data},
            "section": section,
            "shared": compose.shared,
            "environment": {name: value for name, value in environment.items() if name in used},
        }
    )
    return ServiceRelease(
        digest=digest,
        build=build,
        image=substitute(service.image, {**environment, service.digest_variable: digest}),
        data=tuple(sorted(service.data)),
        digest_variable=service.digest_variable,
    )


def _build_files(root: Path, service: Service, files: tuple[ReleaseFile, ...]) -> tuple[ReleaseFile, ...]:
    """Files that can change the image: data that is mounted over it does not, where the Dockerfile shows so."""
    context = service.context or "."
    within = _below(files, context)
    dockerfile = next((file for file in within if file.path == service.dockerfile), None)
    if dockerfile is None:
        raise ReleaseError(f"service {service.name} has no {context}/{service.dockerfile}")
    text = (root / context / service.dockerfile).read_text(encoding="utf-8", errors="replace")
    if not re.search(r"^\s*(COPY|ADD|ONBUILD)\b|type=bind", text, re.IGNORECASE | re.MULTILINE):
        return (dockerfile,)
    inner = [path[len(context) + 1 :] for path in service.data.values() if path.startswith(f"{context}/")]
    return tuple(file for file in within if not any(file.path.startswith(f"{path}/") for path in inner))


def _data_directory(files: tuple[ReleaseFile, ...], variable: str, path: str) -> DataDirectory:
    content = _below(files, path)
    if not content:
        hint = "Run `python app/train_model.py` first." if variable == MODELS_VARIABLE else ""
        what = "models are not there" if variable == MODELS_VARIABLE else f"data of {variable} is not there"
        raise ReleaseError(f"{path} is empty: the {what}", hint=hint)
    return DataDirectory(path, _digest(_lines(content)))


def _below(files: Iterable[ReleaseFile], directory: str) -> tuple[ReleaseFile, ...]:
    if directory == ".":
        return tuple(files)
    prefix = f"{directory}/"
    return tuple(
        ReleaseFile(file.path[len(prefix) :], file.mode, file.sha256, file.size)
        for file in files
        if file.path.startswith(prefix)
    )


def _read_files(root: Path, directories: set[str]) -> Iterator[ReleaseFile]:
    seen: set[Path] = set()
    for path in _walk_all(root, directories):
        if path not in seen:
            seen.add(path)
            yield _read_file(root, path)


def _walk_all(root: Path, directories: set[str]) -> Iterator[Path]:
    yield root / COMPOSE_FILE
    for directory in sorted(directories):
        base = root / directory
        if base.is_symlink() or (base.exists() and not base.is_dir()):
            raise ReleaseError(f"{directory} is not a directory")
        if base.is_dir():
            yield from _walk(root, base)


def _walk(root: Path, directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        relative = path.relative_to(root).as_posix()
        if _IGNORED_FILES.fullmatch(path.name) or _IGNORED_PATHS.fullmatch(relative):
            continue
        if path.is_dir() and not path.is_symlink():
            if path.name not in _IGNORED_DIRECTORIES:
                yield from _walk(root, path)
        else:
            yield path


def _read_file(root: Path, path: Path) -> ReleaseFile:
    relative = path.relative_to(root).as_posix()
    if _UNUSABLE_NAME.search(relative) or not relative.isprintable():
        raise ReleaseError(f"the file name {relative!r} holds characters that cannot be shipped")
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise ReleaseError(f"{relative} is a link that leaves the project")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ReleaseError(f"{relative} is not a regular file, and only those can be shipped")
        content = path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{relative} cannot be read: {error.strerror}") from error
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return ReleaseFile(relative, mode, hashlib.sha256(content).hexdigest(), len(content))


def _lines(files: Iterable[ReleaseFile]) -> list[str]:
    return [f"{file.path} {file.mode:04o} {file.sha256}" for file in sorted(files)]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

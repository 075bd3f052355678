"""Read the project's tree as a release: every file that ships, one digest of all and one of each service.

The same tree and environment give the same digests on
every machine: of a file's mode only the executable bit counts, and neither order nor time does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from provisioning.config.secrets import NO_SECRETS, ServiceSecrets
from provisioning.config.service_facts import live_data_facts
from provisioning.errors import ReleaseError
from provisioning.release.compose_file import ComposeFile, Service, parse_compose_file, substitute
from provisioning.release.manifest import DataDirectory, Release, ReleaseFile, SecretRecord, ServiceRecord
from provisioning.release.tree import COMPOSE_FILE, read_file, read_files


def read_release(
    project_root: Path, environment: Mapping[str, str], secrets: ServiceSecrets = NO_SECRETS
) -> Release:
    """Return the release that this tree, these values of the services' environment and these secrets make.

    Each file is read and hashed once; its content stays in `contents`. Raises ReleaseError in one sentence
    when the tree cannot be released: models that are not trained, links that leave the tree, special files,
    variables that the compose file does not use.
    """
    root = Path(project_root)
    compose_file, text = read_file(root, COMPOSE_FILE)
    compose = parse_compose_file(_decoded(text))
    _check_environment(compose, environment)
    marks = _secrets(compose, secrets)
    data_paths = {name: path for service in compose.services for name, path in service.data.items()}
    contexts = {path for service in compose.services for path in service.contexts}
    found = dict(read_files(root, contexts | set(data_paths.values())))
    contents = {file.sha256: content for file, content in {compose_file: text, **found}.items()}
    files = tuple(sorted((compose_file, *found)))
    live = {name for service in compose.services if service.reload for name in service.data}
    data = {
        name: _data_directory(files, name, path, data_paths.values(), name in live)
        for name, path in sorted(data_paths.items())
    }
    services = {
        service.name: _service_record(compose, service, files, data, environment, marks)
        for service in compose.services
    }
    return Release(
        digest=_digest(
            {
                "files": _lines(files),
                "environment": dict(environment),
                "secrets": {name: secret.digest for name, secret in marks.items()},
            }
        ),
        files=files,
        services=services,
        data=data,
        environment=dict(sorted(environment.items())),
        secrets=marks,
        contents=contents,
    )


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
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


def _secrets(compose: ComposeFile, secrets: ServiceSecrets) -> dict[str, SecretRecord]:
    for name in sorted(secrets.values):
        if name not in compose.secrets:
            usable = ", ".join(sorted(compose.secrets)) or "no secret at all"
            raise ReleaseError(f"{COMPOSE_FILE} has no secret {name}", hint=f"It has {usable}.")
        if not compose.secrets[name].owner:
            raise ReleaseError(f"no service of {COMPOSE_FILE} reads the secret {name}")
    for name, file in sorted(compose.secrets.items()):
        if file.required and name not in secrets.values:
            raise ReleaseError(
                f"{COMPOSE_FILE} needs the secret {name}, and nothing gives it a value",
                hint=f"pulumi config set --secret --path 'onebox:serviceSecrets.{name}'",
            )
    return {
        name: SecretRecord(secrets.mark(name), compose.secrets[name].variable, compose.secrets[name].owner)
        for name in sorted(secrets.values)
    }


def _service_record(
    compose: ComposeFile,
    service: Service,
    files: tuple[ReleaseFile, ...],
    data: Mapping[str, DataDirectory],
    environment: Mapping[str, str],
    marks: Mapping[str, SecretRecord],
) -> ServiceRecord:
    section = json.loads(service.section)
    build = None
    if service.context is not None:
        contexts = [_lines(_context_files(service, path, files)) for path in service.contexts]
        build = _digest({"build": section.get("build"), "contexts": contexts})
    used = service.variables | frozenset(name for name in environment if f"${{{name}" in compose.shared)
    read = {name: marks[name].digest for name in service.secrets if name in marks}
    digest = _digest(
        {
            "build": build,
            "secrets": read,
            "data": {name: data[name].digest for name in service.data if not service.reload},
            "section": section,
            "shared": compose.shared,
            "environment": {name: value for name, value in environment.items() if name in used},
        }
    )
    return ServiceRecord(
        digest=digest,
        build=build,
        image=substitute(service.image, {**environment, service.digest_variable: digest}),
        data=tuple(sorted(service.data)),
        digest_variable=service.digest_variable,
        reload=service.reload,
        secrets=tuple(read.values()),
    )


def _context_files(service: Service, context: str, files: tuple[ReleaseFile, ...]) -> tuple[ReleaseFile, ...]:
    """Return the files of a build context: each of them makes a new image.

    Raises ReleaseError for a context without files or Dockerfile, and for one that holds data to be reloaded.
    """
    within = _below(files, context)
    if not within:
        raise ReleaseError(f"service {service.name} has no files in its build context {context}")
    if context == service.context and not any(file.path == service.dockerfile for file in within):
        raise ReleaseError(f"service {service.name} has no {context}/{service.dockerfile}")
    for path in service.data.values():
        if service.reload and _is_below(path, context):
            raise ReleaseError(
                f"service {service.name} reloads {path}, and its image is built from it",
                hint="Keep the Dockerfile and what it copies in a directory of their own, as images/ does.",
            )
    return within


def _data_directory(
    files: tuple[ReleaseFile, ...], variable: str, path: str, paths: Iterable[str], live: bool
) -> DataDirectory:
    content = _content(files, path, paths)
    if not content:
        facts = live_data_facts(variable)
        hint = f"Run `{facts.made_by}` first." if facts.made_by else ""
        what = f"{facts.noun} are missing" if facts.made_by else f"data of {variable} is missing"
        raise ReleaseError(f"{path} is empty: the {what}", hint=hint)
    return DataDirectory(path, _digest(_lines(content)), content, live)


def _content(
    files: Iterable[ReleaseFile], directory: str, directories: Iterable[str]
) -> tuple[ReleaseFile, ...]:
    """Return the files below a directory, relative to it, without those of other data directories inside of it."""
    inner = [
        _relative(other, directory)
        for other in directories
        if other != directory and _is_below(other, directory)
    ]
    return tuple(
        file for file in _below(files, directory) if not any(_is_below(file.path, path) for path in inner)
    )


def _is_below(path: str, directory: str) -> bool:
    return directory in (".", path) or path.startswith(f"{directory}/")


def _relative(path: str, directory: str) -> str:
    """Return a path at or below a directory, relative to that directory."""
    if directory == ".":
        return path
    return path[len(directory) + 1 :] or "."


def _below(files: Iterable[ReleaseFile], directory: str) -> tuple[ReleaseFile, ...]:
    if directory == ".":
        return tuple(files)
    prefix = f"{directory}/"
    return tuple(
        ReleaseFile(file.path[len(prefix) :], file.mode, file.sha256, file.size)
        for file in files
        if file.path.startswith(prefix)
    )


def _lines(files: Iterable[ReleaseFile]) -> list[str]:
    return [f"{file.path} {file.mode:04o} {file.sha256}" for file in sorted(files)]


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

"""Pure: parse docker-compose.yml into what a release needs of it, for services of any name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from provisioning.errors import ReleaseError
from provisioning.release.compose_policy import check_rules
from provisioning.release.compose_yaml import Section, read_compose_yaml

DIGEST_LABEL = "io.onebox.service-digest"
RELOAD_KEY = "x-onebox-reload"
_SECRET_FILE = re.compile(r"\$\{(?P<name>ONEBOX_SECRET_[A-Z0-9_]+)(?P<default>:?-[^}]*)?(:?\?[^}]*)?\}")
_NUMERIC_USER = re.compile(r"[0-9]+:[0-9]+")
_SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2")
_SHARED_KEYS = ("networks", "volumes", "secrets", "configs")
_USE = re.compile(r"\$(?:\$|\{(?P<braced>[A-Za-z_]\w*)(?P<operator>:?[-?+])?|(?P<plain>[A-Za-z_]\w*))")
_BIND_BY_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*):?-(?P<default>\.{0,2}[^}:]*)\}")


@dataclass(frozen=True)
class Service:
    """One service of the compose file."""

    name: str
    context: str | None
    """Build context relative to the project's root; None for a service that only pulls an image."""
    dockerfile: str
    additional_contexts: Mapping[str, str]
    """Name -> directory relative to the project's root, of each additional build context that is one."""
    image: str
    data: Mapping[str, str]
    """Variable -> default directory (relative to the root) of each bind mount of project data."""
    depends_on: tuple[str, ...]
    section: str
    """The whole section as canonical JSON: equal text means equal meaning."""
    variables: frozenset[str]
    reload: str = ""
    """Signal on which the service reloads its data; empty for a service that needs a new container."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets that its containers read, without those of its image build."""
    user: str = ""
    """Its user and group, as the compose file gives them."""

    @property
    def contexts(self) -> tuple[str, ...]:
        """Return the directories of the project that its image is built from."""
        return tuple(filter(None, (self.context, *self.additional_contexts.values())))

    @property
    def digest_variable(self) -> str:
        """Name of the variable that holds this service's digest."""
        return f"ONEBOX_{self.name.upper().replace('-', '_')}_DIGEST"


@dataclass(frozen=True)
class SecretFile:
    """A secret of the compose file whose path is a variable that the push sets."""

    variable: str
    required: bool
    """Its file has no default."""
    owner: str
    """`uid:gid` of the services that read it; empty when none does."""


@dataclass(frozen=True)
class ComposeFile:
    """The compose file: services in dependency order, and the sections that they share."""

    services: tuple[Service, ...]
    shared: str
    variables: frozenset[str]
    """Every variable used anywhere in the file."""
    required: frozenset[str]
    """Variables used without a default."""
    secrets: Mapping[str, SecretFile] = field(default_factory=dict)
    """The secrets whose values come with a push, by name."""

    @property
    def own_variables(self) -> frozenset[str]:
        """Return the variables that the push sets itself."""
        return frozenset(
            name for service in self.services for name in (service.digest_variable, *service.data)
        ) | frozenset(secret.variable for secret in self.secrets.values())


def parse_compose_file(text: str) -> ComposeFile:
    """Return the parsed compose file. Raises ReleaseError in one sentence for what cannot be pushed."""
    document = read_compose_yaml(text)
    if not isinstance(document.get("services"), dict) or not document["services"]:
        raise ReleaseError("docker-compose.yml has no services")
    check_rules(document)
    sections = {name: section or {} for name, section in document["services"].items()}
    services = {name: _service(str(name), section) for name, section in sections.items()}
    _refuse_shared_live_data(services.values())
    shared = {key: document[key] for key in _SHARED_KEYS if key in document}
    _refuse_unshipped_files(shared)
    return ComposeFile(
        services=tuple(services[name] for name in _dependency_order(services)),
        shared=_canonical(shared),
        variables=_variables(document),
        required=frozenset(_required(_canonical(document))),
        secrets=_secret_files(shared.get("secrets") or {}, services.values()),
    )


def default_of(text: str, variable: str) -> str | None:
    """Return the default of a variable in a compose file: `50` for `${NAME:-50}`; None without one."""
    match = re.search(rf"\$\{{{re.escape(variable)}:?-([^}}]*)\}}", text)
    return match[1] if match else None


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with `${NAME}` and `${NAME:-default}` replaced as compose does it."""

    def value(match: re.Match[str]) -> str:
        return values.get(match["name"], match["default"] or "")

    return re.sub(r"\$\{(?P<name>[A-Za-z_]\w*)(?::?-(?P<default>[^}]*))?\}", value, text)


def _service(name: str, section: Any) -> Service:
    if not isinstance(section, dict):
        raise ReleaseError(f"service {name} in docker-compose.yml is not a mapping")
    build = section.get("build")
    if isinstance(build, str):
        build = {"context": build}
    service = Service(
        name=name,
        context=None if build is None else _relative(name, str(build.get("context", "."))),
        dockerfile=str((build or {}).get("dockerfile", "Dockerfile")),
        additional_contexts=_additional_contexts(name, build or {}),
        image=str(section.get("image", "")),
        data=_data(name, section.get("volumes") or []),
        depends_on=tuple(section.get("depends_on") or ()),
        section=_canonical(section),
        variables=_variables(section),
        reload=_reload(name, section),
        secrets=_secrets_read(section),
        user=str(section.get("user") or ""),
    )
    label = _pairs(section.get("labels") or {}).get(DIGEST_LABEL) or ""
    if service.digest_variable not in label or (build and service.digest_variable not in service.image):
        raise ReleaseError(
            f"service {name} does not carry its digest in its image tag and label",
            hint=f"Set `image: onebox/{name}:${{{service.digest_variable}:-dev}}` and "
            f"`labels: {{{DIGEST_LABEL}: ${{{service.digest_variable}:-dev}}}}`.",
        )
    return service


def _additional_contexts(service: str, build: Section) -> dict[str, str]:
    """Return the directories among them; an image or a repository is named by a URL and ships nothing."""
    pairs = _pairs(build.get("additional_contexts") or {})
    found = {name: path or "" for name, path in pairs.items()}
    return {name: _relative(service, path) for name, path in found.items() if "://" not in path}


def _data(service: str, volumes: Iterable[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for volume in volumes:
        source = str(volume.get("source", "")) if isinstance(volume, dict) else str(volume)
        match = _BIND_BY_VARIABLE.match(source)
        if match and match["default"].startswith("."):
            found[match["name"]] = _relative(service, match["default"])
        elif source.startswith((".", "~")):
            # The release directory moves with every release: a literal path would recreate this
            # service each time, or leave it reading a directory that has been pruned.
            raise ReleaseError(
                f"service {service} mounts {source.split(':')[0]} by a literal path",
                hint="Write it as ${ONEBOX_SOME_DIR:-./path}: the push sets the variable.",
            )
    return found


def _reload(service: str, section: Section) -> str:
    signal = section.get(RELOAD_KEY)
    if signal is None:
        return ""
    if signal not in _SIGNALS:
        raise ReleaseError(f"service {service} has {RELOAD_KEY}: {signal}; use {' or '.join(_SIGNALS)}")
    if not _data(service, section.get("volumes") or []):
        raise ReleaseError(f"service {service} has {RELOAD_KEY}, but mounts no data that it could reload")
    return str(signal)


def _refuse_shared_live_data(services: Iterable[Service]) -> None:
    """Raise ReleaseError where one of several readers reloads: the link would move under the others as well."""
    users: dict[str, list[Service]] = {}
    for service in services:
        for name in service.data:
            users.setdefault(name, []).append(service)
    for name, found in users.items():
        if len(found) > 1 and any(service.reload for service in found):
            names = " and ".join(sorted(service.name for service in found))
            raise ReleaseError(f"{name} is mounted by {names}, so none of them can have {RELOAD_KEY}")


def _relative(service: str, path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith(("/", "~")) or ".." in parts or "$" in path:
        raise ReleaseError(f"service {service} uses {path}, which is not a directory inside the project")
    return "/".join(parts) or "."


def _secrets_read(section: Section) -> tuple[str, ...]:
    entries = section.get("secrets") or ()
    return tuple(sorted(str(entry.get("source") if isinstance(entry, dict) else entry) for entry in entries))


def _secret_files(shared: Section, services: Iterable[Service]) -> dict[str, SecretFile]:
    """Return the secrets that a push writes. A file of the host, such as a CA bundle, is none of them."""
    readers = list(services)
    found: dict[str, SecretFile] = {}
    for name, entry in shared.items():
        match = _SECRET_FILE.fullmatch(str((entry or {}).get("file", "")))
        if match is None:
            continue
        owners = {service.name: service.user for service in readers if name in service.secrets}
        for service, user in owners.items():
            if not _NUMERIC_USER.fullmatch(user):
                raise ReleaseError(
                    f"service {service} reads the secret {name}, but has no numeric user",
                    hint='Set it by numbers, as in `user: "10001:10001"`: the file will belong to it.',
                )
        if len(set(owners.values())) > 1:
            raise ReleaseError(
                f"the secret {name} is read by {' and '.join(owners)}, which run as different users"
            )
        owner = next(iter(owners.values()), "")
        found[str(name)] = SecretFile(match["name"], match["default"] is None, owner)
    return found


def _refuse_unshipped_files(shared: Section) -> None:
    for kind in ("secrets", "configs"):
        for name, entry in (shared.get(kind) or {}).items():
            text = str((entry or {}).get("file", "/"))
            path = "/" if _SECRET_FILE.fullmatch(text) else substitute(text, {})
            if not path.startswith("/"):
                raise ReleaseError(f"the file {path} of {kind}.{name} is not part of a release")


def _dependency_order(services: Mapping[str, Service]) -> list[str]:
    for service in services.values():
        for name in service.depends_on:
            if name not in services:
                raise ReleaseError(f"service {service.name} depends on {name}, which does not exist")
    graph = TopologicalSorter({name: sorted(services[name].depends_on) for name in sorted(services)})
    try:
        return list(graph.static_order())
    except CycleError as error:
        raise ReleaseError(
            f"services depend on each other in a circle: {' -> '.join(error.args[1])}"
        ) from error


def _pairs(value: Any) -> dict[str, str | None]:
    """Return a compose list of `NAME=value`, or a mapping, as a mapping; None for a name without a value."""
    if isinstance(value, dict):
        return {str(name): None if item is None else str(item) for name, item in value.items()}
    pairs = (str(item).partition("=") for item in value)
    return {name: item if equals else None for name, equals, item in pairs}


def _variables(node: Any) -> frozenset[str]:
    names = {match["braced"] or match["plain"] for match in _USE.finditer(_canonical(node))}
    return frozenset(name for name in names if name) | _passed_through(node)


def _passed_through(node: Any) -> frozenset[str]:
    """Return the names under `environment` without a value: compose reads it from its own environment."""
    if not isinstance(node, dict):
        return frozenset()
    sections = node["services"].values() if isinstance(node.get("services"), dict) else [node]
    return frozenset(
        name
        for section in sections
        for name, value in _pairs((section or {}).get("environment") or {}).items()
        if value is None
    )


def _required(text: str) -> Iterable[str]:
    for match in _USE.finditer(text):
        if match["plain"] or (match["braced"] and match["operator"] not in (":-", "-", ":+", "+")):
            yield match["plain"] or match["braced"]


def _canonical(node: Any) -> str:
    return json.dumps(node, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)

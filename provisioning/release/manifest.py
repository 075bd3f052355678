"""A release as one value, and its manifest: the same value as JSON beside the release on the host.

Every manifest says which schema it has. Versions of schema 1 that wrote fewer fields are read with
the defaults of the fields below; a schema above SCHEMA is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from provisioning.agent.store.manifest import SCHEMA
from provisioning.decode import Fields, WrongShape
from provisioning.host_errors import ManifestRefused

ENV_FILE = "release.env"


@dataclass(frozen=True, order=True)
class ReleaseFile:
    """One file: relative path, mode (0o644, 0o755 or, of the environment file, 0o600), SHA-256 hex, bytes."""

    path: str
    mode: int
    sha256: str
    size: int

    @classmethod
    def from_json(cls, entry: Fields) -> Self:
        """Return the file that an object of a manifest describes."""
        return cls(entry.text("path"), entry.number("mode"), entry.text("sha256"), entry.number("size"))


@dataclass(frozen=True)
class DataDirectory:
    """A directory that a service mounts: its path in the tree, the digest of its content, and its files."""

    path: str
    digest: str
    files: tuple[ReleaseFile, ...]
    """Their paths are relative to the directory. Those of a data directory inside of it are left out."""
    live: bool = False
    """Its service reloads it on a signal, so a change of it needs no new container."""

    @classmethod
    def from_json(cls, entry: Fields) -> Self:
        """Return the data directory that an object of a manifest describes."""
        files = tuple(map(ReleaseFile.from_json, entry.objects("files")))
        return cls(entry.text("path"), entry.text("digest"), files, entry.flag("live", default=False))


@dataclass(frozen=True)
class SecretRecord:
    """A secret of a release, without its value."""

    digest: str
    """Keyed hash of its value."""
    variable: str
    owner: str
    """`uid:gid` of the service that reads it."""

    @classmethod
    def from_json(cls, entry: Fields) -> Self:
        """Return the secret that an object of a manifest describes."""
        return cls(entry.text("digest"), entry.text("variable"), entry.text("owner"))


@dataclass(frozen=True)
class ServiceRecord:
    """One service of a release."""

    digest: str
    build: str | None
    """Digest of what can change the image; None for a service that is not built."""
    image: str
    """Name and tag of the image; the tag is the service's digest."""
    data: tuple[str, ...]
    """Variables of the data directories that it mounts."""
    digest_variable: str
    reload: str = ""
    """Signal on which it reloads its data; its digest then does not depend on that data."""
    secrets: tuple[str, ...] = ()
    """Keyed hashes of the secrets that it reads."""

    @classmethod
    def from_json(cls, entry: Fields) -> Self:
        """Return the service that an object of a manifest describes."""
        return cls(
            digest=entry.text("digest"),
            build=entry.optional_text("build"),
            image=entry.text("image"),
            data=entry.texts("data"),
            digest_variable=entry.text("digest_variable"),
            reload=entry.text("reload", ""),
            secrets=entry.texts("secrets", ()),
        )


@dataclass(frozen=True)
class Release:
    """Everything that can change what users see, under one digest (SHA-256 hex)."""

    digest: str
    files: tuple[ReleaseFile, ...]
    services: Mapping[str, ServiceRecord]
    """By name, in dependency order."""
    data: Mapping[str, DataDirectory] = field(default_factory=dict)
    """Variable -> the directory that it names."""
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretRecord] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    """SHA-256 -> content of the files; empty for a release that a host keeps."""

    @property
    def short(self) -> str:
        """Return the first 12 digits of the digest, as messages show it."""
        return self.digest[:12]

    @property
    def tree_files(self) -> tuple[ReleaseFile, ...]:
        """Return the files of the tree: all but the environment file, which differs whenever anything does."""
        return tuple(file for file in self.files if file.path != ENV_FILE)

    def service_data(self, service: str) -> dict[str, DataDirectory]:
        """Return the data directories that a service reloads, by variable; none for any other service."""
        record = self.services.get(service)
        return {name: self.data[name] for name in record.data} if record and record.reload else {}

    def to_json(self) -> dict[str, object]:
        """Return the manifest, ready to be encoded."""
        return {
            "schema": SCHEMA,
            "release": self.digest,
            "files": [asdict(file) for file in self.files],
            "services": {name: asdict(record) for name, record in self.services.items()},
            "order": list(self.services),
            "data": {name: asdict(directory) for name, directory in self.data.items()},
            "environment": dict(self.environment),
            "secrets": {name: asdict(record) for name, record in self.secrets.items()},
        }

    @classmethod
    def from_json(cls, manifest: object, digest: str) -> Self:
        """Return the release of a decoded manifest. `digest` names the directory that holds it.

        Raises ManifestRefused for a schema that is not known, and for what no version has written.
        """
        try:
            top = Fields(manifest, "manifest")
            _check_head(top, digest)
            data = {name: DataDirectory.from_json(entry) for name, entry in top.by_name("data").items()}
            return cls(
                digest=digest,
                files=tuple(map(ReleaseFile.from_json, top.objects("files"))),
                services=_services(top, data),
                data=data,
                environment=top.text_by_name("environment"),
                secrets={
                    name: SecretRecord.from_json(entry) for name, entry in top.by_name("secrets", {}).items()
                },
            )
        except WrongShape as error:
            raise ManifestRefused(
                digest,
                str(error),
                hint=f"Remove the file releases/{digest[:12]}…/manifest.json on the host, then push again.",
            ) from error


def _check_head(top: Fields, digest: str) -> None:
    schema = top.number("schema")
    if schema < 1:
        raise WrongShape(f"manifest.schema is {schema}, which no version wrote")
    if schema > SCHEMA:
        raise ManifestRefused(
            digest,
            f"it has schema {schema}, and this version reads {SCHEMA}",
            hint="A newer onebox pushed it: use that version, or a newer one.",
        )
    if top.text("release") != digest:
        raise WrongShape(f"manifest.release is {top.text('release')[:12]}")


def _services(top: Fields, data: Mapping[str, DataDirectory]) -> dict[str, ServiceRecord]:
    entries, order = top.by_name("services"), top.texts("order")
    if sorted(order) != sorted(entries):
        raise WrongShape("manifest.order does not name every service once")
    services = {name: ServiceRecord.from_json(entries[name]) for name in order}
    for name, record in services.items():
        for variable in record.data:
            if variable not in data:
                raise WrongShape(f"manifest.data lacks {variable}, which {name} mounts")
    return services

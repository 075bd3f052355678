"""The part of a release's manifest that the agent reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from provisioning.agent.codec import from_json

SCHEMA = 1
"""Schema of the manifests that this version writes."""


@dataclass(frozen=True)
class FileEntry:
    """A file of a release or of a data directory."""

    path: str
    mode: int
    sha256: str


@dataclass(frozen=True)
class ServiceImage:
    """A service: the digest of its build (None for an image that is not built here), and name:tag of its image."""

    build: Optional[str]
    image: str


@dataclass(frozen=True)
class DataDirectory:
    """A data directory. `live`: its service reloads it."""

    digest: str
    files: tuple[FileEntry, ...] = ()
    live: bool = False


@dataclass(frozen=True)
class Secret:
    """A secret; `digest` is the keyed hash of its value."""

    digest: str


@dataclass(frozen=True)
class Manifest:
    """What a release consists of."""

    release: str = ""
    files: tuple[FileEntry, ...] = ()
    services: dict[str, ServiceImage] = field(default_factory=dict)
    data: dict[str, DataDirectory] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)


def manifest_in(value: object) -> Manifest:
    """Return the manifest in a JSON value. Raises Malformed."""
    return from_json(Manifest, value)

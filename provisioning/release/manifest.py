"""Pure: what is written beside a release on the host, and what is read back from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from provisioning.release.environment import ENV_FILE, environment_text
from provisioning.release.release import Release, ReleaseFile, ServiceRelease

SCHEMA = 1


def manifest_of(release: Release, root: str) -> dict[str, Any]:
    """The manifest of a release for a host with this root, ready for JSON."""
    text = environment_text(release, root).encode()
    env_file = ReleaseFile(ENV_FILE, 0o600, hashlib.sha256(text).hexdigest(), len(text))
    return {
        "schema": SCHEMA,
        "release": release.digest,
        "files": [asdict(file) for file in (*release.files, env_file)],
        "services": {name: asdict(part) for name, part in release.parts.items()},
        "order": list(release.services),
        "data": {
            name: {
                "path": data.path,
                "digest": data.digest,
                "live": data.live,
                "files": [asdict(file) for file in release.files_of(data.path)],
            }
            for name, data in release.data.items()
        },
        "environment": release.environment,
        "secrets": {name: asdict(secret) for name, secret in release.secrets.items()},
    }


def parts_of(manifest: Mapping[str, Any]) -> dict[str, ServiceRelease]:
    """The services of a manifest, in dependency order."""
    services = manifest["services"]
    return {
        name: ServiceRelease(
            digest=services[name]["digest"],
            build=services[name]["build"],
            image=services[name]["image"],
            data=tuple(services[name]["data"]),
            digest_variable=services[name]["digest_variable"],
            reload=services[name]["reload"],
            secrets=tuple(services[name]["secrets"]),
        )
        for name in manifest["order"]
    }


def data_digests_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Variable -> digest of the data directory it stands for."""
    return {name: entry["digest"] for name, entry in manifest["data"].items()}

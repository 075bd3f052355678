"""The environment file of a release, and the paths on the host that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from provisioning.release.manifest import ENV_FILE, Release, ReleaseFile


def for_host(release: Release, root: str) -> Release:
    """Return the release with its environment file, for a host whose store is the directory `root`."""
    text = environment_text(release, root).encode()
    env_file = ReleaseFile(ENV_FILE, 0o600, hashlib.sha256(text).hexdigest(), len(text))
    return replace(
        release,
        files=(*release.files, env_file),
        contents={**release.contents, env_file.sha256: text},
    )


def data_directory(root: str, digest: str) -> str:
    """Return the path of the content-addressed copy of a data directory."""
    return f"{root}/data/{digest}"


def secret_file(root: str, digest: str, name: str) -> str:
    """Return the path of a secret's file; its directory is named by the keyed hash of the value."""
    return f"{root}/secrets/{digest}/{name}"


def live_directory(root: str, variable: str) -> str:
    """Return the path where a service mounts data that it reloads on a signal: the same for every release."""
    return f"{root}/live/{variable}"


def environment_text(release: Release, root: str) -> str:
    """Return the environment file: digests, data directories and the services' environment.

    Values stand in single quotes, where compose takes them literally.
    """
    values: Mapping[str, str] = {
        **release.environment,
        **{record.digest_variable: record.digest for record in release.services.values()},
        **{
            name: live_directory(root, name) if data.live else data_directory(root, data.digest)
            for name, data in release.data.items()
        },
        **{
            secret.variable: secret_file(root, secret.digest, name)
            for name, secret in release.secrets.items()
        },
    }
    return "".join(f"{name}='{value}'\n" for name, value in sorted(values.items()))

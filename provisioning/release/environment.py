"""The environment file of a release, and the paths on the host that it names."""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.release.release import Release

ENV_FILE = "release.env"


def data_directory(root: str, digest: str) -> str:
    """Where the content-addressed copy of a data directory lies on the host."""
    return f"{root}/data/{digest}"


def secret_file(root: str, digest: str, name: str) -> str:
    """Where the file of a secret lies on the host; its directory is named by the keyed hash of its value."""
    return f"{root}/secrets/{digest}/{name}"


def live_directory(root: str, variable: str) -> str:
    """Where a service mounts data that it reads anew on a signal: the same path for every release."""
    return f"{root}/live/{variable}"


def environment_text(release: Release, root: str) -> str:
    """Content of the release's env file: digests, data directories and the services' environment.

    Values stand in single quotes, where compose takes them literally.
    """
    values: Mapping[str, str] = {
        **release.environment,
        **{part.digest_variable: part.digest for part in release.parts.values()},
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

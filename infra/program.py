"""The resources of one stack, in the order of their creation, and its outputs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping

import pulumi
from pulumi.runtime.config import is_config_secret

from infra.digest_key import DigestKey
from infra.host import StackHost
from infra.network import StackNetwork
from infra.release import HostTrust, Release, project_root
from infra.settings import ConfigError, StackSettings
from provisioning.config.keys import fingerprint
from provisioning.config.secrets import ServiceSecrets
from provisioning.config.service_facts import SERVICES
from provisioning.config.stack_outputs import StackOutputs
from provisioning.errors import ProvisioningError
from provisioning.release.manifest import Release as Tree
from provisioning.release.release import read_release
from provisioning.ssh.openssh import ssh_argv

# Only to validate the tree; no digest under this key is kept.
_ANY_KEY = "0" * 64


def deploy() -> None:
    """Register the stack's resources and export its outputs. Exit with 1 before that for an invalid value."""
    try:
        config = _config()
        settings = StackSettings.from_config(
            config, project_root(), frozenset(filter(is_config_secret, config))
        )
        _read(settings, _ANY_KEY)
    except ConfigError as error:
        for problem in error.problems:
            pulumi.log.error(problem)
        pulumi.log.error(error.hint)
        sys.exit(1)
    except ProvisioningError as error:
        pulumi.log.error(f"{error}. {error.hint}")
        sys.exit(1)

    stack = pulumi.get_stack()
    tags = {"onebox:stack": stack, "onebox:managed-by": "pulumi", **settings.tags}
    network = StackNetwork("onebox", settings.cidrs, tags, settings.aws_plugin_version)
    host = StackHost("onebox", settings, network.group_id, tags)
    login = settings.login()
    trust = HostTrust("onebox-trust", host.public_ip, login, host.birth_public_key, host.instance_id)
    digest_key = DigestKey("onebox-digest-key").key
    release = Release(
        "onebox-release",
        _tree(settings, digest_key),
        trust,
        host.public_ip,
        login,
        host.birth_public_key,
        host.instance_id,
        settings.service_environment,
        settings.secret_values,
        digest_key,
        settings.open_ports,
    )
    _export(settings, host, trust, release, digest_key)


def _read(settings: StackSettings, digest_key: str) -> Tree:
    return read_release(
        project_root(), settings.service_environment, ServiceSecrets(settings.secret_values, digest_key)
    )


def _tree(settings: StackSettings, digest_key: pulumi.Output[str]) -> pulumi.Output[Tree]:
    """Return the tree's release. With secrets it waits for the digest key, which keeps their digests from guesses."""
    if not settings.service_secrets:
        return pulumi.Output.from_input(_read(settings, _ANY_KEY))
    return pulumi.Output.unsecret(digest_key.apply(lambda key: _read(settings, key)))


def _config() -> Mapping[str, str]:
    from pulumi.runtime.config import CONFIG, get_config_env

    return {**get_config_env(), **CONFIG.get()}


def _export(
    settings: StackSettings,
    host: StackHost,
    trust: HostTrust,
    release: Release,
    digest_key: pulumi.Output[str],
) -> None:
    login = settings.login()
    secrets = settings.secret_values
    outputs = {
        "public_ip": host.public_ip,
        **{
            f"{service.opened_as}_url": pulumi.Output.format("http://{0}:{1}", host.public_ip, service.port)
            for service in SERVICES
            if service.opened_as
        },
        "ssh_command": pulumi.Output.all(host.public_ip, trust.host_public_key).apply(
            lambda pair: shlex.join(ssh_argv(login, *pair))
        ),
        "host_key_fingerprint": trust.host_public_key.apply(fingerprint),
        "release": release.deployed,
        "host_public_key": trust.host_public_key,
        **login.properties("ssh_"),
        "instance_id": host.instance_id,
        "open_ports": sorted(settings.open_ports),
        "service_environment": settings.service_environment,
        "service_secrets": pulumi.Output.secret(secrets) if secrets else {},
        "digest_key": digest_key if secrets else "",
    }
    assert outputs.keys() == StackOutputs.__dataclass_fields__.keys()  # noqa: S101 - holds program and readers together
    for name, value in outputs.items():
        pulumi.export(name, value)

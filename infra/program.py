"""What one stack consists of, in the order in which it comes to life."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pulumi

from infra.host import StackHost
from infra.keys import fingerprint
from infra.network import StackNetwork
from infra.outputs import StackOutputs
from infra.release import PROJECT_ROOT, HostTrust, Release
from infra.settings import PORTS, ConfigError, StackSettings
from provisioning.errors import ProvisioningError
from provisioning.release import read_release
from provisioning.ssh_command import ssh_line


def deploy() -> None:
    """Registers the stack's resources and exports its outputs; a bad value ends it before the engine acts."""
    try:
        settings = StackSettings.from_config(_config(), PROJECT_ROOT)
        tree = read_release(PROJECT_ROOT, settings.service_environment)
    except ConfigError as error:
        for problem in error.problems:
            pulumi.log.error(problem)
        pulumi.log.error(error.hint)
        sys.exit(1)
    except ProvisioningError as error:
        pulumi.log.error(f"{error} {error.hint}")
        sys.exit(1)

    stack = pulumi.get_stack()
    tags = {"onebox:stack": stack, "onebox:managed-by": "pulumi", **settings.tags}
    network = StackNetwork("onebox", settings.cidrs, tags, settings.aws_plugin_version)
    host = StackHost("onebox", settings, network.group_id, tags)
    key_file = str(settings.ssh_private_key_file)
    trust = HostTrust(
        "onebox-trust", host.public_ip, settings.ssh_user, key_file, host.birth_public_key, host.instance_id
    )
    release = Release(
        "onebox-release",
        tree,
        trust,
        host.public_ip,
        settings.ssh_user,
        key_file,
        host.birth_public_key,
        host.instance_id,
        settings.service_environment,
        settings.open_ports,
    )
    _export(settings, host, trust, release)


def _config() -> Mapping[str, str]:
    from pulumi.runtime.config import CONFIG, get_config_env

    return {**get_config_env(), **CONFIG.get()}


def _export(settings: StackSettings, host: StackHost, trust: HostTrust, release: Release) -> None:
    key_file = settings.ssh_private_key_file
    outputs = {
        "public_ip": host.public_ip,
        "api_url": pulumi.Output.format("http://{0}:{1}", host.public_ip, PORTS["api"]),
        "ui_url": pulumi.Output.format("http://{0}:{1}", host.public_ip, PORTS["ui"]),
        "prometheus_url": pulumi.Output.format("http://{0}:{1}", host.public_ip, PORTS["prometheus"]),
        "ssh_command": pulumi.Output.all(host.public_ip, trust.host_public_key).apply(
            lambda pair: ssh_line(pair[0], settings.ssh_user, key_file, pair[1])
        ),
        "host_key_fingerprint": trust.host_public_key.apply(fingerprint),
        "release": release.deployed,
        "host_public_key": trust.host_public_key,
        "ssh_user": settings.ssh_user,
        "ssh_private_key_file": str(key_file),
        "instance_id": host.instance_id,
        "open_ports": sorted(settings.open_ports),
        "service_environment": settings.service_environment,
    }
    assert outputs.keys() == StackOutputs.__dataclass_fields__.keys()  # noqa: S101 - holds program and readers together
    for name, value in outputs.items():
        pulumi.export(name, value)

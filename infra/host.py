"""The host: key pair, image, instance, disk and the address that outlives the instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from infra.aws import Eip, EipAssociation, Instance, KeyPair, get_ami_output
from infra.cloud_config import BootSettings, render
from infra.host_key import HostKey
from infra.settings import OperatingSystem, StackSettings

IMAGES: dict[OperatingSystem, tuple[str, str]] = {
    "debian-13": ("136693071363", "debian-13-amd64-*"),
    "amazon-linux-2023": ("137112412989", "al2023-ami-2023.*-x86_64"),
}
"""Publisher's account and name pattern of the official image, by operating system."""


class StackHost(pulumi.ComponentResource):
    """One EC2 instance with a fixed public address.

    Produces a HostKey, a KeyPair, an Instance (IMDSv2 only, encrypted gp3 root), an Eip and its EipAssociation.
    Changed user-data replaces the instance; a newer image does not (`amiId` selects one).
    """

    instance_id: pulumi.Output[str]
    public_ip: pulumi.Output[str]
    birth_public_key: pulumi.Output[str]
    """The injected host key of the first connection, `ssh-ed25519 AAAA…`."""

    def __init__(
        self,
        name: str,
        settings: StackSettings,
        group_id: pulumi.Input[str],
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("onebox:infra:StackHost", name, None, opts)
        version = settings.aws_plugin_version
        child = pulumi.ResourceOptions(parent=self, version=version)
        named = {**tags, "Name": name}

        host_key = HostKey(f"{name}-host-key", opts=pulumi.ResourceOptions(parent=self))
        login = KeyPair(f"{name}-login", public_key=settings.public_key(), tags=dict(tags), opts=child)
        instance = Instance(
            name,
            ami=settings.ami_id or _newest_image(settings.os, version),
            instance_type=settings.instance_type,
            key_name=login.key_name,
            vpc_security_group_ids=[group_id],
            user_data=_user_data(settings, host_key),
            user_data_replace_on_change=True,
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                # Containers are one hop further away and must not read the instance's credentials.
                "http_put_response_hop_limit": 1,
            },
            root_block_device={
                "volume_type": "gp3",
                "volume_size": settings.volume_size_gb,
                "encrypted": True,
                "delete_on_termination": True,
                "tags": named,
            },
            tags=named,
            opts=pulumi.ResourceOptions.merge(
                child,
                # A newer image of the publisher must not replace a serving host as a side effect.
                pulumi.ResourceOptions(ignore_changes=[] if settings.ami_id else ["ami"]),
            ),
        )
        address = Eip(f"{name}-address", domain="vpc", tags=named, opts=child)
        association = EipAssociation(
            f"{name}-address", instance_id=instance.id, allocation_id=address.allocation_id, opts=child
        )
        # A user of the address waits until it leads to this instance.
        self.public_ip = pulumi.Output.all(address.public_ip, association.id).apply(lambda pair: pair[0])
        self.instance_id = instance.id
        self.birth_public_key = host_key.public_key
        self.register_outputs({"instance_id": self.instance_id, "public_ip": self.public_ip})


def _newest_image(os: OperatingSystem, version: str | None) -> pulumi.Output[str]:
    owner, pattern = IMAGES[os]
    image = get_ami_output(
        most_recent=True,
        owners=[owner],
        filters=[
            {"name": "name", "values": [pattern]},
            {"name": "architecture", "values": ["x86_64"]},
        ],
        opts=pulumi.InvokeOutputOptions(version=version),
    )
    return image.id


def _user_data(settings: StackSettings, host_key: HostKey) -> pulumi.Output[str]:
    certificates = tuple(settings.ca_certificates())

    def boot(pair: list[Any]) -> str:
        private, public = pair
        return render(
            BootSettings(
                os=settings.os,
                user=settings.ssh_user,
                host_key_private=private,
                host_key_public=public,
                ca_certificates=certificates,
                registry_mirror=settings.registry_mirror,
            )
        )

    return pulumi.Output.secret(pulumi.Output.all(host_key.private_key, host_key.public_key).apply(boot))
